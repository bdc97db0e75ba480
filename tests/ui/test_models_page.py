"""The Models tab in a real browser: a licence is read, a model comes and goes, by keyboard too."""

from __future__ import annotations

import pytest

from tests.browser import Page
from tests.espnet_release import CONFIG, write_release
from tests.fake_hub import Repo, fake_hub
from tests.models_help import checkpoint, lay_out
from tests.servers import server_process

pytestmark = pytest.mark.browser

LJ = "[data-model='espnet_vits/ljspeech_vits']"
SPARK = "[data-model='spark/spark-tts-0.5b']"
EXPERIMENT = "exp/tts_train_vits_raw_phn_tacotron_g2p_en_no_space"
WEIGHTS = f"{EXPERIMENT}/train.total_count.ave_10best.pth"
BYTES = checkpoint(3_000_000)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    release = tmp_path_factory.mktemp("release")
    write_release(release)
    meta = (release / "meta.yaml").read_text("utf-8").replace("exp/tts_tiny", EXPERIMENT)
    files = {
        "meta.yaml": meta.encode(),
        f"{EXPERIMENT}/config.yaml": (release / CONFIG).read_bytes(),
        WEIGHTS: BYTES,
    }
    with fake_hub() as hub:
        hub.repos["espnet/kan-bayashi_ljspeech_vits"] = Repo(files, hangs={WEIGHTS})
        yield hub


@pytest.fixture(scope="module")
def own_server(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models server")
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home")}
    with server_process(folder, **environment) as server:
        yield server
        hub.release.set()


@pytest.fixture
def open_models(windows, own_server):
    pages = []

    def opened(**options) -> Page:
        page = Page(windows(**options), own_server.url)
        pages.append(page)
        chosen = page.tab.locator("[role='tab'][data-tab-id='models']")
        if not chosen.count():  # a narrow page has a menu for the last tabs
            page.tab.click("[aria-label='More tabs']")
            chosen = page.tab.locator(".overflow-dropdown button", has_text="Models")
        chosen.click()
        page.tab.wait_for_selector(".vv-family")
        return page

    yield opened
    for page in pages:
        page.tab.close()
        assert page.strays == []
        assert page.complaints == []


def focused(page: Page) -> str:
    return page.tab.evaluate("document.activeElement.textContent || document.activeElement.type")


def test_a_model_comes_and_goes(open_models, own_server, hub) -> None:
    page = open_models()
    tab = page.tab
    page.picture("models-1280")
    tab.click(f"{LJ} [data-do='download']")
    page.wait_for(
        f"""document.querySelector("{LJ} .vv-progress").getAttribute("aria-valuenow") > 40"""
    )
    assert "1.5 MB of 3.0 MB" in tab.inner_text(f"{LJ} .vv-load")
    page.picture("models-downloading-1280")
    tab.click(f"{LJ} [data-do='stop']")
    tab.wait_for_selector(f"{LJ} >> text=Unfinished")
    hub.repos["espnet/kan-bayashi_ljspeech_vits"].hangs = set()
    tab.click(f"{LJ} >> text=Resume")
    tab.wait_for_selector(f"{LJ} >> text=Installed")
    home = own_server.data_dir / "models/espnet_vits/ljspeech_vits"
    assert (home / WEIGHTS).read_bytes() == BYTES
    assert tab.inner_text(f"{LJ} code") == str(home)
    tab.click(f"{LJ} >> text=Delete")
    assert focused(page) == "Delete it"
    tab.keyboard.press("Escape")
    assert focused(page) == "Delete" and home.exists()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(f"{LJ} [data-do='download']")
    assert not home.exists()


def test_a_licence_is_read_and_accepted_by_keyboard(open_models, hub) -> None:
    page = open_models()
    tab = page.tab
    tab.focus(f"{SPARK} [data-do='ask']")
    tab.keyboard.press("Enter")
    assert focused(page) == "checkbox"
    download = tab.locator(f"{SPARK} .vv-ask [data-do='download']")
    assert download.is_disabled()
    tab.keyboard.press("Space")
    assert download.is_enabled()
    terms = tab.locator(f"{SPARK} .vv-ask a")
    assert terms.get_attribute("target") == "_blank"
    assert "noopener" in terms.get_attribute("rel")
    hub.asked.clear()
    download.click()
    tab.wait_for_selector(f"{SPARK} .vv-alert")
    assert "(401)" in tab.inner_text(f"{SPARK} .vv-alert"), "this Hub does not have it"
    assert hub.asked


def test_on_a_phone_nothing_runs_out_of_the_page(open_models, own_server) -> None:
    name = "a_folder_with_a_very_long_name_that_has_no_space_in_it_" * 2
    lay_out(own_server.data_dir / "models" / name, {"config.json": b'{"model": "xtts"}'})
    page = open_models(viewport={"width": 390, "height": 844})
    page.tab.wait_for_selector(f"text={name}")
    assert page.overflow() <= 0
    page.picture("models-390")
