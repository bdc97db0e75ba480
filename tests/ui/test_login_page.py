"""Logging in with a real browser, and the studio behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import ARTIFACTS, Page
from tests.servers import ServerProcess, server_process

pytestmark = pytest.mark.browser

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
USER, PASSWORD = "ada", "correct horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("guarded")
    flags = ("--auth", f"{USER}:{PASSWORD}", "--api-key", "a-key")
    with server_process(folder, *flags, host="0.0.0.0") as server:
        yield server


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Any]:
    """Opens a browser that has never been here; nothing may break the page's own rules."""
    contexts, broken = [], []

    def opened(**options: Any) -> Any:
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        context.on(
            "console",
            lambda said: broken.append(said.text) if "Content Security" in said.text else None,
        )
        return context

    yield opened
    for context in contexts:
        context.close()
    assert broken == []


def log_in(tab: Any, name: str = USER, password: str = PASSWORD) -> None:
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("Password").fill(password)
    tab.get_by_role("button", name="Log in").click()


def picture(tab: Any, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    tab.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_page_fits_and_says_what_was_wrong(guarded, visitor, size, scheme) -> None:
    tab = visitor(viewport=size, color_scheme=scheme, java_script_enabled=False).new_page()
    answer = tab.goto(guarded.url)
    assert answer.status == 401
    picture(tab, f"login-{size['width']}-{scheme}")
    form = tab.locator("main").bounding_box()
    assert form["x"] >= 0 and form["x"] + form["width"] <= size["width"]
    for field in tab.locator("input:not([type=hidden]), button").all():
        assert field.bounding_box()["height"] >= 44
    log_in(tab, password="wrong")
    assert "do not fit together" in tab.get_by_role("alert").inner_text()
    assert tab.get_by_label("Name").input_value() == USER
    picture(tab, f"login-wrong-{size['width']}-{scheme}")


def test_the_login_page_works_by_keyboard(guarded, visitor) -> None:
    tab = visitor(java_script_enabled=False).new_page()
    tab.goto(f"{guarded.url}/docs")
    tab.keyboard.type(USER)
    tab.keyboard.press("Tab")
    tab.keyboard.type(PASSWORD)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{guarded.url}/docs")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_studio_behind_the_login_speaks(guarded, visitor, size) -> None:
    context = visitor(viewport=size)
    tab = context.new_page()
    tab.goto(guarded.url)
    log_in(tab)
    tab.wait_for_selector(".vv-take")
    page = Page(context, guarded.url)
    page.write("The birch canoe slid on the smooth planks. " * 800)
    page.tab.click("#vv-speak")
    page.wait_until_it_sounds()
    assert page.state() == "speaking", "it sounds while it is made"
    page.tab.click("#vv-cancel")
    page.wait_for_state("stopped")
    page.picture(f"behind-login-{size['width']}")
    saved = page.download("sound")
    assert saved.stat().st_size > 10_000
    assert page.strays == [] and page.complaints == []


def test_after_logging_out_the_page_is_gone(guarded, visitor) -> None:
    tab = visitor().new_page()
    tab.goto(guarded.url)
    log_in(tab)
    tab.wait_for_selector(".vv-take")
    tab.goto(f"{guarded.url}/logout")
    assert tab.url.endswith("/login")
    assert tab.goto(guarded.url).status == 401
    tab.go_back()
    assert tab.locator(".vv-take").count() == 0


def test_a_key_logs_in_by_its_link(guarded, visitor) -> None:
    tab = visitor().new_page()
    tab.goto(f"{guarded.url}/?token=a-key")
    tab.wait_for_selector(".vv-take")
    assert "token" not in tab.url
