"""The page as a whole: how it is served, what it asks of others, what its parts answer."""

from __future__ import annotations

import base64
import inspect
import re
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from pydantic import Field

from engines.api import Controls
from engines.controls import describe
from studio.settings import Settings
from studio.studio import Studio
from studio.take import Take
from tests.servers import free_port
from ui import controls, shell, take_view
from ui.desk import Desks
from ui.theme import theme

STATIC = Path(shell.__file__).parent / "static"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    studio = Studio(Settings(data_dir=tmp_path_factory.mktemp("data"), shared=False))
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def blocks(studio):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(studio.settings.cache_dir / "gradio"))
        yield shell.build(studio)


# serving


@pytest.mark.parametrize("server", [gr.mount_gradio_app, gr.Blocks.launch])
def test_the_options_are_those_of_both_ways_to_serve(server) -> None:
    assert set(shell.mount_options()) <= set(inspect.signature(server).parameters)


def test_nothing_of_the_disk_is_served_and_uploads_are_limited() -> None:
    options = shell.mount_options()
    assert options["allowed_paths"] == []
    assert options["max_file_size"] <= 4 * 1024**2
    assert options["run_history"] is False


def test_it_can_be_launched_by_gradio_alone(blocks) -> None:
    port = free_port()
    blocks.launch(server_port=port, prevent_thread_lock=True, quiet=True, **shell.mount_options())
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            page = answer.read().decode()
        assert "Vivavoce" in page
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/theme.css", timeout=30) as answer:
            assert "system-ui" in answer.read().decode()
    finally:
        blocks.close()


def test_every_event_is_the_pages_own(blocks) -> None:
    events = [fn for fn in blocks.fns.values() if fn.fn is not None]
    assert events
    public = [fn.name for fn in events if fn.api_visibility != "private"]
    # unload takes no visibility
    assert set(public) - {"leave"} == {"speak", "voices", "engines"}, "see ui/api.py"


def test_speech_never_waits_for_gradios_own_queue(blocks) -> None:
    limits = {fn.name: (fn.concurrency_limit, fn.queue) for fn in blocks.fns.values()}
    for name in ("speak", "again", "download", "read_file"):
        assert limits[name][0] is None
    assert limits["cancel"][1] is False


def test_no_file_of_ours_names_another_host() -> None:
    files = [file for file in STATIC.iterdir() if file.suffix != ".png"]
    assert {file.suffix for file in files} == {".js", ".css", ".html"}
    for file in files:
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", file.read_text("utf-8")), file.name
    assert not theme()._get_theme_css().count("fonts.googleapis")
    assert theme()._stylesheets == []


# generated controls


class Many(Controls):
    share: float = Field(0.5, ge=0, le=1, title="Share", description="Of the whole.")
    stepped: float = Field(1.0, ge=0, le=2, json_schema_extra={"step": 0.25})
    steps: int = Field(3, ge=1, le=9)
    free: float = 1.5
    whole: int = 4
    flag: bool = True
    name: str = "x"


def test_each_kind_of_control_has_its_widget() -> None:
    with gr.Blocks():
        made = {spec.name: controls._widget(spec, spec.default) for spec in describe(Many)}
    assert {name: type(widget) for name, widget in made.items()} == {
        "share": gr.Slider,
        "stepped": gr.Slider,
        "steps": gr.Slider,
        "free": gr.Number,
        "whole": gr.Number,
        "flag": gr.Checkbox,
        "name": gr.Textbox,
    }
    share = made["share"]
    assert (share.minimum, share.maximum, share.step, share.value) == (0, 1, 0.01, 0.5)
    assert (share.label, share.info) == ("Share", "Of the whole.")
    assert made["stepped"].step == 0.25
    assert made["steps"].step == 1
    assert made["whole"].precision == 0
    assert made["free"].precision is None


def test_a_choice_is_a_list() -> None:
    from typing import Literal

    class Choice(Controls):
        tone: Literal["warm", "cold"] = "cold"

    (spec,) = describe(Choice)
    with gr.Blocks():
        widget = controls._widget(spec, spec.default)
    assert isinstance(widget, gr.Dropdown)
    assert [value for _, value in widget.choices] == ["warm", "cold"]
    assert widget.value == "cold"


# what the take panel asks for


@pytest.fixture
def asked(studio):
    desks = Desks(studio)
    functions = {fn.__name__: fn for fn in take_view._server_functions(desks)}
    take = desks._new_take(8000, {"engine": "tone", "seed": 5})
    desks.of("me").take = take
    take.append(np.linspace(0, 0.5, 8000, dtype=np.float32))
    return functions, take


def test_sound_is_sent_as_it_lies_in_the_take(asked) -> None:
    functions, take = asked
    answer = functions["read_sound"]({"take": take.id, "start": 100, "count": 50})
    assert base64.b64decode(answer["pcm"]) == take.pcm(100, 50)
    assert functions["read_sound"]({"take": take.id, "start": 9000, "count": 5}) == {"pcm": ""}


def test_no_answer_is_larger_than_a_few_seconds(asked) -> None:
    functions, take = asked
    take.append(np.zeros(20 * 8000, np.float32))
    answer = functions["read_sound"]({"take": take.id, "start": 0, "count": 10**9})
    assert len(base64.b64decode(answer["pcm"])) == 2 * 8000 * take_view.LONGEST_READ
    assert len(functions["peaks"]({"take": take.id, "bars": 10**9})["peaks"]) == 2000


@pytest.mark.parametrize("name", ["read_sound", "peaks", "sentences"])
@pytest.mark.parametrize(
    "data",
    [None, [], "x", {}, {"take": 3}, {"take": "../../etc"}, {"take": "id", "start": -1}],
)
def test_whatever_is_asked_wrongly_gets_an_answer_in_words(asked, name, data) -> None:
    functions, take = asked
    if isinstance(data, dict) and data.get("take") == "id":
        data = {"take": take.id, "start": -1, "count": "many", "bars": 1.5, "first": True}
    (said,) = functions[name](data).values()
    assert said and all(isinstance(part, str) for part in said)


def test_anothers_take_cannot_be_had_by_guessing(asked, tmp_path) -> None:
    functions, take = asked
    other = Take(tmp_path, 8000, {})
    for guess in (other.id, take.id[:-1], take.id.swapcase(), ""):
        assert functions["read_sound"]({"take": guess, "start": 0, "count": 1}) == {
            "alert": ("This take is gone.", "Press Speak to make it again.")
        }
