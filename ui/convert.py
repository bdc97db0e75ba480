"""A section of the Voices tab: a recording goes in and comes out in one of your voices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.studio import Studio
from ui import choices
from ui.convert_handlers import Conversions
from ui.voices_visits import Visits

STATIC = Path(__file__).resolve().parent / "static"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": None}


def build(studio: Studio, blocks: gr.Blocks) -> None:
    """The section's widgets and what they do. Called inside the shell's Blocks.

    Args:
        blocks: the whole page, which tells when a visitor leaves.
    """
    visits = Visits()
    to = Conversions(studio, visits)
    common: dict[str, Any] = {"min_width": 0}
    with gr.Accordion(
        "Convert speech into one of your voices", open=False, elem_id="vv-convert"
    ) as section:
        clip = gr.Audio(
            label="What is to be said",
            sources=["upload", "microphone"],
            type="filepath",
            buttons=[],  # one of them would send the recording to another machine
            elem_id="vv-convert-clip",
        )
        with gr.Row():
            voice = gr.Dropdown(
                [], label="In the voice of", elem_id="vv-convert-voice", filterable=False, **common
            )
            model = gr.Dropdown([], label="Model", filterable=False, **common)
            device = gr.Dropdown(
                [("Automatic", choices.AUTO_DEVICE)],
                value=choices.AUTO_DEVICE,
                label="Device",
                filterable=False,
                **common,
            )
            seed = gr.Textbox(label="Seed", placeholder="random", max_lines=1, **common)
        with gr.Row():
            go = gr.Button("Convert", variant="primary", elem_id="vv-convert-go", **common)
            stop = gr.Button("Stop", variant="stop", elem_id="vv-convert-stop", **common)
        missing = gr.HTML("", apply_default_css=False)
        player = gr.HTML(
            {},
            html_template=(STATIC / "voices_player.html").read_text("utf-8"),
            js_on_load=(STATIC / "voices_player.js").read_text("utf-8"),
            apply_default_css=False,
            elem_id="vv-convert-player",
        )
    section.expand(to.open, [voice, model], [voice, model, device, missing], **AT_ONCE)
    go.click(to.convert, [clip, voice, model, device, seed], player, **LONG)
    for event in (stop.click, player.hush):
        event(to.stop, None, None, **AT_ONCE)

    def leave(visitor: gr.Request) -> None:
        visits.leave(visitor.session_hash or "")

    blocks.unload(leave)
