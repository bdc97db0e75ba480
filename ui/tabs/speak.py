"""The Speak tab: text in, sound out, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from engines import registry
from studio.studio import Studio
from ui import choices, controls, take_view
from ui.desk import Desks
from ui.speak_handlers import Handlers

PLACEHOLDER = "Type or paste the text to speak, or drop a .txt or .md file here."

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# answered beside Gradio's queue, even while speech is made
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
# in Gradio's queue without a limit: the studio has a queue of its own
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": None}
CLICK_FILE = "() => document.querySelector('#vv-file').click()"


class SpeakForm(NamedTuple):
    """What `Handlers.fill` fills in, for other tabs: its outputs in order."""

    outputs: list[Any]
    handlers: Handlers


def build(studio: Studio, desks: Desks, here: gr.Tab) -> SpeakForm:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        here: this tab.
    """
    engine = registry.DEFAULT_ENGINE
    parts: dict[str, Any] = {}
    with gr.Row(elem_id="vv-desk", equal_height=False):
        with gr.Column(elem_id="vv-write", min_width=0):
            parts |= _writing()
        with gr.Column(elem_id="vv-settings", min_width=0):
            parts |= _settings(studio, engine)
            with gr.Accordion("Fine-tune the voice", open=False, elem_id="vv-fine"):
                groups = controls.build_groups(studio, engine, parts["voice"].value)
                parts["reset"] = gr.Button("Reset to defaults", size="sm", elem_id="vv-reset")
        with gr.Row(elem_id="vv-actions"):
            parts["speak"] = gr.Button("Speak", variant="primary", elem_id="vv-speak", min_width=0)
            parts["stop"] = gr.Button("Stop", variant="stop", elem_id="vv-cancel", min_width=0)
        parts["take"] = take_view.build(desks, studio.engine(engine).capability.sample_rate)
    # clicked by the page once a download is ready
    parts["file"] = gr.DownloadButton(visible="hidden", elem_id="vv-file")
    handlers = Handlers(studio, desks, groups)
    _wire_speech(parts, handlers, groups)
    _wire_choices(parts, handlers, groups)
    here.select(
        handlers.look_again, [parts["engine"], parts["language"]], parts["voice"], **AT_ONCE
    )
    names = ("text", "engine", "language", "voice", "device", "preset", "seed", "keep")
    tuned = [widget for group in groups for widget in group.widgets]
    form = [*(parts[name] for name in names), *(group.column for group in groups), *tuned]
    return SpeakForm(form, handlers)


def _wire_speech(
    parts: dict[str, Any], handlers: Handlers, groups: Sequence[controls.ControlGroup]
) -> None:
    tuned = [widget for group in groups for widget in group.widgets]
    names = ("text", "engine", "language", "voice", "device", "seed", "keep")
    form = [*(parts[name] for name in names), *tuned]
    take, spoken = parts["take"], [parts[name] for name in ("take", "seed", "keep")]
    parts["speak"].click(handlers.speak, form, spoken, **LONG)
    parts["stop"].click(handlers.cancel, **AT_ONCE)
    take.again(handlers.again, form, spoken, **LONG)
    downloaded = take.download(handlers.download, None, [take, parts["file"]], **LONG)
    downloaded.success(None, None, None, js=CLICK_FILE)
    parts["upload"].upload(handlers.read_file, parts["upload"], [parts["text"], take], **LONG)


def _wire_choices(
    parts: dict[str, Any], handlers: Handlers, groups: Sequence[controls.ControlGroup]
) -> None:
    tuned = [widget for group in groups for widget in group.widgets]
    engine, language, voice = parts["engine"], parts["language"], parts["voice"]
    device, preset = parts["device"], parts["preset"]
    columns = [group.column for group in groups]
    chosen = [language, voice, device, preset, *columns, *tuned]
    engine.input(handlers.choose_engine, engine, chosen, **AT_ONCE)
    asked = [engine, language, voice, preset]
    language.input(handlers.choose_language, asked, [voice, *tuned], **AT_ONCE)
    voice.input(handlers.choose_voice, [engine, voice, preset], tuned, **AT_ONCE)
    for event in (preset.input, parts["reset"].click):
        event(handlers.apply_preset, [engine, voice, preset], [language, voice, *tuned], **AT_ONCE)
    shown = [parts["text"], language, voice, *tuned]
    kept = [parts["take"], language, voice, *tuned]
    parts["take"].keep(handlers.keep, [engine, preset], kept, **LONG)
    parts["take"].example(handlers.example, [engine, preset], shown, **AT_ONCE)


def _writing() -> dict[str, Any]:
    text = gr.Textbox(
        label="Text",
        placeholder=PLACEHOLDER,
        lines=8,
        max_lines=18,
        autofocus=True,
        elem_id="vv-text",
    )
    with gr.Row(elem_id="vv-below"):
        upload = gr.UploadButton(
            "Open a file …",
            type="binary",
            size="sm",
            min_width=0,
            file_types=[".txt", ".md", "text"],
        )
        gr.HTML("<span id='vv-count' aria-live='off'></span>", elem_id="vv-counter")
    return {"text": text, "upload": upload}


def _settings(studio: Studio, engine: str) -> dict[str, Any]:
    voices = studio.voices(engine)
    language, voice = choices.first_choice(studio, engine)
    capability = studio.engine(engine).capability
    common: dict[str, Any] = {"min_width": 0}
    pick = {**common, "filterable": False}  # short lists need no search
    return {
        "language": gr.Dropdown(
            choices.languages(voices),
            value=language,
            label="Language",
            num_choices_shown=None,
            **common,
        ),
        "preset": gr.Dropdown(
            choices.presets(studio.presets.engines, engine),
            value=choices.NO_PRESET,
            label="Preset",
            **pick,
        ),
        "voice": gr.Dropdown(
            choices.voices(voices, language),
            value=voice,
            label="Voice",
            allow_custom_value=True,  # variants such as en-us+f3 are not listed
            elem_classes="vv-wide",
            **common,
        ),
        "engine": gr.Dropdown(
            choices.engines(studio.capabilities()), value=engine, label="Engine", **pick
        ),
        "device": gr.Dropdown(
            choices.device_choices(capability, titles=not studio.settings.shared),
            value=choices.AUTO_DEVICE,
            label="Device",
            **pick,
        ),
        # a text field: a number field would show 0 for "none yet"
        "seed": gr.Textbox(label="Seed", placeholder="random", max_lines=1, **common),
        "keep": gr.Checkbox(label="Keep this seed", elem_id="vv-keep", **common),
    }
