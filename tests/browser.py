"""The studio in a real Chromium."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ARTIFACTS = Path(__file__).resolve().parent.parent / "artifacts"
PATIENCE = 60_000  # milliseconds for something that happens at once on an idle machine


class Page:
    """The studio in a window, and what a person does there.

    `strays` are requests that went to any other host, `complaints` errors in its console.
    """

    def __init__(self, context: Any, url: str, touched: bool = True) -> None:
        self.context = context
        self.tab = context.new_page()
        self.strays: list[str] = []
        self.complaints: list[str] = []
        self.tab.on("request", lambda request: self._note(request.url, url))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.goto(url)
        if not touched:
            return
        self.tab.wait_for_selector(".vv-take")
        self.tab.wait_for_function("window.vivavoce && document.querySelector('#vv-text textarea')")

    def _note(self, asked: str, url: str) -> None:
        if not asked.startswith((url, "data:", "blob:")):
            self.strays.append(asked)

    def write(self, text: str) -> None:
        self.tab.fill("#vv-text textarea", text)

    @property
    def text(self) -> str:
        return self.tab.input_value("#vv-text textarea")

    def speak(self, text: str) -> None:
        """Speak a text to its end."""
        before = self.tab.eval_on_selector(".vv-take", "panel => panel.dataset.take")
        self.write(text)
        self.tab.click("#vv-speak")
        self.tab.wait_for_function(
            """(before) => {
                const { take, state } = document.querySelector(".vv-take").dataset;
                return take !== before && state === "done";
            }""",
            arg=before,
        )

    def choose(self, label: str, choice: str) -> None:
        """Pick from a list by its beginning."""
        self.tab.get_by_label(label, exact=True).click()
        self.tab.get_by_role("option", name=choice).first.click()

    def state(self) -> str:
        return self.tab.eval_on_selector(".vv-take", "panel => panel.dataset.state")

    def wait_for_state(self, *states: str) -> None:
        self.tab.wait_for_function(
            "states => states.includes(document.querySelector('.vv-take').dataset.state)",
            arg=list(states),
        )

    def wait_for(self, expression: str) -> None:
        # what is not on the page yet is null, which is no reason to stop waiting
        self.tab.wait_for_function(f"() => {{ try {{ return {expression} }} catch {{}} }}")

    def player(self, name: str) -> Any:
        return self.tab.evaluate(f"window.vivavoce.player.{name}")

    def wait_until_it_sounds(self) -> None:
        """The position moves and the signal that goes to the loudspeaker is no silence."""
        self.tab.wait_for_function(
            """() => {
                const { player } = window.vivavoce;
                if (!player.playing || player.waiting) return false;
                if (window.heard !== player.output) {
                    window.heard = player.output;
                    window.ear = player.context.createAnalyser();
                    player.output.connect(window.ear);
                    window.heardAt = player.position;
                }
                const signal = new Float32Array(window.ear.fftSize);
                window.ear.getFloatTimeDomainData(signal);
                const loudest = Math.max(...signal.map(Math.abs));
                return loudest > 0.01 && player.position > window.heardAt;
            }"""
        )

    def rows(self) -> list[str]:
        return self.tab.locator(".vv-list .vv-text").all_inner_texts()

    def alert(self) -> str:
        self.tab.wait_for_selector(".vv-alert:not([hidden])")
        return self.tab.inner_text(".vv-alert")

    def download(self, what: str) -> Path:
        with self.tab.expect_download() as started:
            self.tab.click(f"[data-download='{what}']")
        target = Path(started.value.path()).with_name(started.value.suggested_filename)
        started.value.save_as(target)
        return target

    def drop(self, data: bytes, name: str = "text.txt") -> None:
        self.tab.evaluate(
            """([base64, name]) => {
                const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
                const carried = new DataTransfer();
                carried.items.add(new File([bytes], name, { type: "text/plain" }));
                const options = { dataTransfer: carried, bubbles: true, cancelable: true };
                const target = document.querySelector("#vv-text textarea");
                for (const kind of ["dragover", "drop"])
                    target.dispatchEvent(new DragEvent(kind, options));
            }""",
            [base64.b64encode(data).decode(), name],
        )

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.tab.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def windows(chromium: Any) -> Any:
    """Gives a browser context by its options; one of each, which keeps Gradio's files cached."""
    made: dict[str, Any] = {}

    def window(**options: Any) -> Any:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = chromium.new_context(
                **{"viewport": {"width": 1280, "height": 900}, **options}
            )
            made[key].set_default_timeout(PATIENCE)
        return made[key]

    return window
