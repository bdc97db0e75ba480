"""The Devices tab: what it shows of memory and requests, to whom, and its plot."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace

import gradio as gr
import pytest

from engines.api import SpeechRequest
from engines.memory import MemoryManager, Reloadable
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import wait_until
from ui import devices_view, memory_plot
from ui.desk import Desks
from ui.tabs.devices import Handlers

ME = SimpleNamespace(session_hash="me")
OTHER = SimpleNamespace(session_hash="other")
TEXT = "<b>One</b> & two three. Four five six."


def event(**data) -> SimpleNamespace:
    return SimpleNamespace(_data=data)


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture(params=[False, True], ids=["own", "shared"])
def studio(request, tone, tmp_path):
    studio = Studio(
        Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", workers=1, shared=request.param)
    )
    yield studio
    studio.close()


@pytest.fixture
def desks(studio):
    return Desks(studio)


@pytest.fixture
def handlers(studio, desks):
    return Handlers(studio, desks)


@pytest.fixture
def running(desks, studio, tone):
    """A job of this visitor's in work, and one of another's that waits."""
    tone.gate = threading.Event()
    request = SpeechRequest(TEXT, engine="tone", voice="sine")
    mine = desks.of("me").speak(request)
    next(mine)
    wait_until(lambda: studio.jobs()[0].state.value == "running", "a running job")
    others = desks.of("other").speak(SpeechRequest("Secret words.", engine="tone", voice="sine"))
    next(others)
    yield studio.jobs()
    tone.gate.set()
    mine.close()
    others.close()


def test_with_nothing_in_work_it_says_so(handlers, studio) -> None:
    _, timer = handlers.chosen(ME, SimpleNamespace(value="Speak"))
    assert not timer.active
    page, timer = handlers.chosen(ME, SimpleNamespace(value="Devices"))
    assert timer.active
    assert "Nothing is being spoken" in page
    assert ("eSpeak NG needs none" in page) is not studio.settings.shared


def test_requests_are_listed_to_whom_they_concern(handlers, studio, running) -> None:
    page = handlers.look(ME)
    assert "&lt;b&gt;One&lt;/b&gt; &amp; two" in page
    assert "<b>One" not in page
    if studio.settings.shared:
        assert "Secret" not in page
        assert "1 in work, 1 waiting" in page
        assert page.count("data-cancel") == 1
        assert "Secret" in handlers.look(OTHER)
    else:
        assert "Secret words." in page
        assert page.count("data-cancel") == 2


def test_a_job_is_cancelled_by_whom_it_concerns(handlers, studio, running) -> None:
    mine, others = running
    handlers.cancel(ME, event(job=others.id))
    assert others.cancel_token.is_set is not studio.settings.shared
    handlers.cancel(ME, event(job=mine.id))
    handlers.cancel(ME, event(job="nothing"))
    assert mine.cancel_token.is_set


def test_a_shared_machine_shows_nothing_of_itself(handlers, studio) -> None:
    page = handlers.look(ME)
    for sign in ("GB", "Memory", "vv-plot", "Loaded models"):
        assert (sign in page) is not studio.settings.shared


def test_what_is_loaded_and_what_happened_is_listed(tone, tmp_path) -> None:
    studio = Studio(Settings(data_dir=tmp_path, presets_dir=tmp_path / "none", shared=False))
    resident = Reloadable("cpu", 3_000_000, make=lambda _cancel: object())
    with studio.memory.acquire("<model>", lambda: resident):
        page = devices_view.page(studio, memory_plot.Sampler())
    assert "&lt;model&gt;" in page
    assert "<model>" not in page
    assert "leased" in page
    assert "3.0 MB" in page
    assert "in use" in page
    assert re.search(r"<td data-name='What'>load</td>", page)
    studio.close()


def test_an_idle_model_is_unloaded_by_its_button(handlers, studio) -> None:
    resident = Reloadable("cpu", 3_000_000, make=lambda _cancel: object())
    with studio.memory.acquire("a<b", lambda: resident):
        assert "data-unload" not in handlers.look(ME)
    if studio.settings.shared:
        with pytest.raises(gr.Error, match="shared"):
            handlers.unload(ME, event(name="a<b"))
        assert studio.memory.residents()
        return
    assert "data-unload='a&lt;b' aria-label='Unload a&lt;b'" in handlers.look(ME)
    page = handlers.unload(ME, event(name="a<b"))
    assert "data-unload" not in page and "asked for" in page
    assert studio.memory.residents() == ()
    handlers.unload(ME, event(name="nothing"))


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e8, "250 MB"), (25.3e9, "25.3 GB"),
     (3e12, "3000 GB")],
)  # fmt: skip
def test_sizes_in_words(count, said) -> None:
    assert devices_view.size(count) == said


# the plot


def test_the_plot_grows_until_its_window_is_full() -> None:
    assert memory_plot.window([], 1000.0) == memory_plot.LEAST_WINDOW
    assert memory_plot.window([(990.0, 1)], 1000.0) == memory_plot.LEAST_WINDOW
    assert memory_plot.window([(700.0, 1)], 1000.0) == 300.0
    assert memory_plot.window([(0.0, 1)], 10_000.0) == memory_plot.WINDOW


def test_a_point_lies_where_its_time_and_size_say() -> None:
    drawn = memory_plot.svg([(940.0, 50.0), (1000.0, 100.0)], [(1000.0, 25.0)], 100, 1000.0)
    area = re.search(r"polygon class='vv-plot-used' points='([^']*)'", drawn)[1].split()
    high, wide = memory_plot.HEIGHT, memory_plot.WIDTH
    assert area == [f"0.0,{high:.1f}", f"0.0,{high / 2:.1f}", f"{wide:.1f},0.0",
                    f"{wide:.1f},{high:.1f}"]  # fmt: skip
    assert f"points='{wide:.1f},{high * 0.75:.1f}'" in drawn


def test_samples_are_taken_once_a_second_and_forgotten_after_the_window() -> None:
    now = [1000.0]
    sampler = memory_plot.Sampler(clock=lambda: now[0])
    assert len(sampler.sample("cpu")) == 1
    now[0] += memory_plot.LEAST_STEP / 2
    assert len(sampler.sample("cpu")) == 1
    now[0] += memory_plot.LEAST_STEP
    (_, first), (_, second) = sampler.sample("cpu")
    assert first > 0 and second > 0
    now[0] += memory_plot.WINDOW + 1
    assert len(sampler.sample("cpu")) == 1


def test_our_own_memory_is_drawn_in_steps() -> None:
    now = [0.0]
    memory = MemoryManager(budget=None, idle_ttl=1e9, clock=lambda: now[0])
    assert memory_plot.ours(memory, "cpu", 0.0) == []
    resident = Reloadable("cpu", 1000, make=lambda _cancel: object())
    with memory.acquire("one", lambda: resident):
        pass
    wall = memory.log()[-1].wall_time
    points = memory_plot.ours(memory, "cpu", wall + 10)
    sizes = [size for _, size in points]
    assert sizes[0] == 0
    assert sizes[-1] == memory.usage()[0].used > 0
    assert points[-1][0] == wall + 10
    times = [at for at, _ in points]
    assert times == sorted(times)
    memory.close()
