"""The Models tab: what it shows, to whom, and what its buttons do."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace

import gradio as gr
import pytest

from engines.errors import OutOfMemory
from engines.memory import Footprint, Reloadable
from studio.models import DownloadState, ModelShelf, record, transfer
from studio.studio import Studio
from tests import fakes
from tests.fake_hub import Repo, fake_hub
from tests.models_help import BOUND, FILES, FREE, catalogue, lay_out, model, settings
from tests.servers import wait_until
from ui.models_view import said
from ui.tabs.models import Handlers

TOY, HOME = "toys/toy-v1", "toys/toy-v1"
FREE_ONE, BOUND_ONE = model(), model("toy-nc", licence=BOUND)


def event(**data) -> SimpleNamespace:
    return SimpleNamespace(_data=data)


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0.0,))
    with fake_hub() as hub:
        hub.repos["toys/one"] = Repo(dict(FILES))
        yield hub


@pytest.fixture
def make(tone, hub, tmp_path):
    studios = []

    def made(engine="tone", **values) -> Studio:
        studio = Studio(settings(tmp_path, **values))
        shelf = ModelShelf(
            studio.settings,
            endpoint=hub.url,
            catalogue=catalogue(FREE_ONE, BOUND_ONE, engine=engine),
        )
        studio._shelf = shelf
        studios.append(studio)
        return studio

    yield made
    hub.release.set()
    for studio in studios:
        studio.close()


@pytest.fixture
def studio(make):
    return make()


@pytest.fixture
def handlers(studio):
    return Handlers(studio)


def panel(handlers) -> str:
    return handlers.look()["panel"]


def row(handlers, folder: str = TOY) -> str:
    return re.search(rf"<li class='vv-model' data-model='{folder}'>.*?</li>", panel(handlers))[0]


def downloaded(studio, handlers) -> None:
    handlers.fetch(event(model=TOY, accept=False))
    assert studio.models.downloads()[TOY].wait(20)


def test_it_is_watched_only_while_it_is_chosen(handlers) -> None:
    shown, timer = handlers.chosen(SimpleNamespace(value="Models"))
    assert timer.active and "vv-family" in shown["panel"]
    shown, timer = handlers.chosen(SimpleNamespace(value="Speak"))
    assert not timer.active and "panel" not in shown


def test_what_is_not_there_can_be_downloaded(handlers) -> None:
    shown = row(handlers)
    assert "data-do='download' data-key='toys/toy-v1' aria-label='Download Toy'" in shown
    assert "about 300 kB" in shown
    assert f"href='{FREE.url}' target='_blank' rel='noopener noreferrer'" in shown
    assert "Delete" not in shown and "Non-commercial" not in shown
    assert handlers.look()["pulse"]["room"].startswith("No model is installed yet, ")


def test_a_licence_with_limits_is_shown_before_its_download(handlers, studio) -> None:
    shown = row(handlers, "toys/toy-nc")
    assert "Non-commercial" in shown and "Non-commercial use only." in shown
    assert "data-accept='toys/toy-nc'" in shown
    assert re.search(r"data-do='download'[^>]* disabled>", shown)
    with pytest.raises(gr.Error, match="does not allow commercial use"):
        handlers.fetch(event(model="toys/toy-nc", accept="yes"))
    handlers.fetch(event(model="toys/toy-nc", accept=True))
    download = studio.models.downloads()["toys/toy-nc"]
    assert download.wait(20) and download.error is None


def test_a_download_is_followed_cancelled_and_taken_up_again(handlers, studio, hub) -> None:
    hub.repos["toys/one"].hangs = {"model.safetensors"}
    handlers.fetch(event(model=TOY, accept=False))
    pulse = handlers.look()["pulse"]["downloads"]
    assert set(pulse) == {TOY}
    wait_until(lambda: studio.models.downloads()[TOY].progress().done > 150_000, "half of it")
    shown = handlers.look()["pulse"]["downloads"][TOY]
    assert 40 < shown["percent"] < 60
    assert shown["text"].startswith("150 kB of 350 kB")
    assert "role='progressbar'" in row(handlers) and "data-do='stop'" in row(handlers)
    before = panel(handlers)
    assert before == panel(handlers), "drawn anew only where something happened"
    handlers.stop(event(key=TOY))
    assert studio.models.downloads()[TOY].wait(5)
    shown = row(handlers)
    assert "Unfinished: 150 kB of 350 kB" in shown and ">Resume</button>" in shown
    hub.repos["toys/one"].hangs = set()
    downloaded(studio, handlers)
    shown = row(handlers)
    assert "Installed" in shown and "vv-load" not in shown
    assert str(studio.models.root / HOME) in shown
    assert handlers.look()["pulse"]["downloads"] == {}


def test_a_failure_is_told_where_it_happened(handlers, studio, hub) -> None:
    hub.repos["toys/one"].status = 401
    downloaded(studio, handlers)
    shown = row(handlers)
    assert "role='alert'" in shown and "(401)" in shown and "HF_TOKEN" in shown
    assert ">Download</button>" in shown
    hub.repos["toys/one"].status = 200
    downloaded(studio, handlers)
    assert "role='alert'" not in row(handlers)


def test_a_model_is_deleted_after_it_left_the_memory(handlers, studio) -> None:
    downloaded(studio, handlers)
    assert "data-do='ask' data-key='delete toys/toy-v1'" in row(handlers)
    assert "data-do='remove' data-key='toys/toy-v1'" in row(handlers)
    resident = Reloadable("cpu", 3_000_000, make=lambda _cancel: object())
    with studio.memory.acquire("tone voice on cpu", lambda: resident):
        with pytest.raises(gr.Error, match="in use"):
            handlers.remove(event(key=HOME))
        assert (studio.models.root / HOME).exists()
    handlers.remove(event(key=HOME))
    assert studio.memory.residents() == ()
    assert not (studio.models.root / HOME).exists()
    assert "Delete" not in row(handlers)


@pytest.mark.parametrize("key", ["../secret", "nothing", "", "/etc"])
def test_what_is_no_model_is_not_deleted(handlers, tmp_path, key) -> None:
    lay_out(tmp_path / "secret", FILES)
    with pytest.raises(gr.Error, match="There is no model"):
        handlers.remove(event(key=key))
    assert (tmp_path / "secret/config.json").exists()


def test_a_damaged_model_says_what_is_wrong_and_can_be_repaired(handlers, studio, hub) -> None:
    downloaded(studio, handlers)
    (studio.models.root / HOME / "model.safetensors").write_bytes(b"short")
    shown = row(handlers)
    assert "Damaged" in shown and "model.safetensors is no safetensors file." in shown
    assert ">Repair</button>" in shown
    downloaded(studio, handlers)
    assert "Installed" in row(handlers)


def test_a_folder_of_a_persons_own_is_listed_by_its_name(handlers, studio) -> None:
    lay_out(studio.models.root / "<mine>", {"config.json": b'{"kind": "toy"}'})
    shown = panel(handlers)
    assert "&lt;mine&gt; · Toy" in shown and "<mine>" not in shown
    assert "Incomplete" in shown and "model.safetensors is missing." in shown
    assert ">Download</button>" in row(handlers)
    lay_out(studio.models.root / "<mine>", FILES)
    assert "Installed as &lt;mine&gt;" in panel(handlers)
    assert ">Download</button>" not in row(handlers)
    handlers.remove(event(key="<mine>"))
    assert "mine" not in panel(handlers)


def test_what_is_in_memory_can_be_offloaded_and_unloaded(handlers, studio, monkeypatch) -> None:
    class Kept(Reloadable):
        eviction = "offload"

        def offload(self) -> None:
            pass

        def footprint(self) -> Footprint:
            return Footprint(3_000_000, 3_000_000)

    resident = Kept("cpu", 3_000_000, make=lambda _cancel: object())
    with studio.memory.acquire("tone <voice>", lambda: resident):
        shown = "tone &lt;voice&gt;</b> · cpu · 3.0 MB · 3.0 MB in host memory · in use"
        assert shown in panel(handlers)
        assert "data-do='drop'" not in panel(handlers)
    assert "data-do='offload'" in panel(handlers)
    handlers.offload(event(key="tone <voice>"))
    assert "· off</span>" in panel(handlers) and "data-do='offload'" not in panel(handlers)
    handlers.drop(event(key="tone <voice>"))
    assert studio.memory.residents() == ()
    assert "vv-memory" not in panel(handlers)


def test_loading_ahead_is_offered_where_the_engine_can(handlers, studio, tone) -> None:
    downloaded(studio, handlers)
    assert "data-do='warm'" not in panel(handlers)
    handlers.warm(event(key="tone"))
    gate, seen = threading.Event(), []

    def warm_up(self, device, cancel) -> None:
        while not gate.wait(0.01):
            cancel.raise_if_set()
        seen.append(device)

    tone.warm_up = warm_up
    assert "data-do='warm' data-key='tone'" in panel(handlers)
    handlers.warm(event(key="tone"))
    assert "Loading on cpu" in panel(handlers)
    loading = handlers._loadings["tone"]
    handlers.warm(event(key="tone"))
    assert handlers._loadings["tone"] is loading
    handlers.unwarm(event(key="tone"))
    assert loading.wait(5) and loading.error is None and not seen
    handlers.warm(event(key="tone"))
    gate.set()
    assert handlers._loadings["tone"].wait(5) and seen == ["cpu"]

    def no_room(self, device, cancel) -> None:
        raise OutOfMemory("There is no room.", "", "Unload something.")

    tone.warm_up = no_room
    handlers.warm(event(key="tone"))
    assert handlers._loadings["tone"].wait(5)
    assert "There is no room." in panel(handlers)


def test_an_engine_that_is_not_here_is_said_so(make) -> None:
    handlers = Handlers(make(engine="later"))
    assert "This version cannot speak with it yet; the download works." in panel(handlers)
    assert "Download" in row(handlers)


def test_offline_there_is_nothing_to_download(make, hub) -> None:
    handlers = Handlers(make(offline=True))
    assert "<b>Offline.</b>" in panel(handlers)
    assert "data-do='download'" not in panel(handlers) and "data-do='ask'" not in panel(handlers)
    with pytest.raises(gr.Error, match="runs offline"):
        handlers.fetch(event(model=TOY, accept=True))
    assert hub.asked == []


def test_a_shared_machine_shows_no_paths_and_changes_nothing(make, hub) -> None:
    studio = make(shared=True)
    handlers = Handlers(studio)
    root = lay_out(studio.models.root, {f"{HOME}/{path}": x for path, x in FILES.items()})
    note = record.Record(TOY)
    note.write(root / HOME)
    resident = Reloadable("cpu", 3_000_000, make=lambda _cancel: object())
    with studio.memory.acquire("tone voice", lambda: resident):
        pass
    shown = panel(handlers)
    assert "Installed" in shown
    for sign in (str(root), "<button", "tone voice", "data-room", "By hand"):
        assert sign not in shown
    for press in ("fetch", "stop", "remove", "offload", "drop", "warm", "unwarm"):
        with pytest.raises(gr.Error, match="shared"):
            getattr(handlers, press)(event(key=TOY, model=TOY, accept=True))
    assert (root / HOME / "config.json").exists() and studio.memory.residents()
    assert hub.asked == []


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"state": DownloadState.ASKING}, "Asking the Hugging Face Hub…"),
        ({"done": 1500, "total": 2_000_000}, "1.5 kB of 2.0 MB"),
        (
            {"done": 1, "total": 10, "speed": 2e6, "left": 90.0},
            "1 B of 10 B · 2.0 MB/s · 1:30 min left",
        ),
    ],
)
def test_progress_in_words(values, text) -> None:
    given = {"state": DownloadState.RUNNING, "done": 0, "total": 0, "speed": None, "left": None}
    assert said(SimpleNamespace(**{**given, **values})) == text
