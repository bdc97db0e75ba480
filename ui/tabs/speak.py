"""The Speak tab: text in, sound out, sentence by sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr

from engines import registry
from studio.studio import Studio
from ui import choices, controls, take_view
from ui.desk import Desks
from ui.speak_handlers import Handlers

PLACEHOLDER = "Type or paste the text to speak, or drop a .txt or .md file here."

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE = {**QUIET, "queue": False}  # answered beside the queue, even while speech is made
LONG = {**QUIET, "concurrency_limit": None}  # the studio has a queue of its own


def build(studio: Studio, desks: Desks) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks."""
    engine = registry.DEFAULT_ENGINE
    with gr.Row(elem_id="vv-desk", equal_height=False):
        with gr.Column(elem_id="vv-write", min_width=0):
            text, upload = _writing()
        with gr.Column(elem_id="vv-settings", min_width=0):
            settings = _settings(studio, engine)
            with gr.Accordion("Fine-tune the voice", open=False, elem_id="vv-fine"):
                groups = controls.build_groups(studio, engine, settings["voice"].value)
                reset = gr.Button("Reset to defaults", size="sm", elem_id="vv-reset")
        with gr.Row(elem_id="vv-actions"):
            speak = gr.Button("Speak", variant="primary", elem_id="vv-speak", min_width=0)
            cancel = gr.Button("Stop", variant="stop", elem_id="vv-cancel", min_width=0)
        take = take_view.build(desks, studio.engine(engine).capability.sample_rate)
    file = gr.DownloadButton(visible="hidden", elem_id="vv-file")

    handlers = Handlers(studio, desks, groups)
    chosen = [settings[name] for name in ("engine", "language", "voice", "device")]
    tuned = [widget for group in groups for widget in group.widgets]
    seed, keep, preset = settings["seed"], settings["keep"], settings["preset"]
    form = [text, *chosen, seed, keep, *tuned]
    voicing = [settings["language"], settings["voice"]]

    speak.click(handlers.speak, form, [take, seed, keep], **LONG)
    cancel.click(handlers.cancel, **AT_ONCE)
    take.again(handlers.again, form, [take, seed, keep], **LONG)
    take.download(handlers.download, None, [take, file], **LONG).success(
        None, None, None, js="() => document.querySelector('#vv-file').click()"
    )
    take.example(handlers.example, settings["engine"], [text, *voicing, *tuned], **AT_ONCE)
    upload.upload(handlers.read_file, upload, [text, take], **LONG)
    settings["engine"].input(
        handlers.choose_engine,
        settings["engine"],
        [*voicing, settings["device"], preset, *(group.column for group in groups), *tuned],
        **AT_ONCE,
    )
    settings["language"].input(
        handlers.choose_language, [settings["engine"], *voicing], [voicing[1], *tuned], **AT_ONCE
    )
    settings["voice"].input(
        handlers.choose_voice, [settings["engine"], settings["voice"], preset], tuned, **AT_ONCE
    )
    for event in (preset.input, reset.click):
        event(
            handlers.apply_preset,
            [settings["engine"], settings["voice"], preset],
            [*voicing, *tuned],
            **AT_ONCE,
        )


def _writing() -> tuple[gr.Textbox, gr.UploadButton]:
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
    return text, upload


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
            choices.device_choices(capability),
            value=choices.AUTO_DEVICE,
            label="Device",
            **pick,
        ),
        # a text field: a number field would show 0 for "none yet"
        "seed": gr.Textbox(label="Seed", placeholder="random", max_lines=1, **common),
        "keep": gr.Checkbox(label="Keep this seed", elem_id="vv-keep", **common),
    }
