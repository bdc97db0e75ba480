"""The Voices tab: a clip is recorded or chosen, judged, agreed to and kept; voices are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.studio import Studio
from ui import choices, convert, voices_view
from ui.voices_clip import Clips
from ui.voices_handlers import Lists
from ui.voices_visits import Visits

STATIC = Path(__file__).resolve().parent.parent / "static"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": None}
CLIPS_AT_ONCE: dict[str, Any] = {**QUIET, "concurrency_limit": 4, "concurrency_id": "clips"}
CLICK_FILE = "() => document.querySelector('#vv-voice-zip').click()"
PURPOSE = "Speech on this machine, for my own use"
AGREED = "The person who speaks in the clip has agreed to this, or it is me."


def build(studio: Studio, blocks: gr.Blocks, here: gr.Tab) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        blocks: the whole page, which tells when a visitor leaves.
        here: this tab.
    """
    visits = Visits()
    lists = Lists(studio, visits, blocks.upload_file_set.add)
    clips = Clips(studio, visits, lists)
    parts: dict[str, Any] = {}
    with gr.Row(elem_id="vv-voices-desk", equal_height=False):
        with gr.Column(elem_id="vv-voice-new", min_width=0):
            parts["clip"] = _panel("voices_clip", voices_view.empty(), "vv-clip")
            # the page puts into them what is recorded, dropped or chosen
            parts["upload"] = gr.UploadButton(
                type="filepath", visible="hidden", elem_id="vv-clip-file"
            )
            with gr.Column(elem_id="vv-voice-form", visible=False) as form:
                parts["fields"] = _form(studio)
                parts["message"] = gr.HTML("", apply_default_css=False)
                parts["save"] = gr.Button("Save the voice", variant="primary", elem_id="vv-save")
        with gr.Column(elem_id="vv-voice-list", min_width=0):
            parts["list"] = _panel("voices_list", {"panel": ""}, "vv-voices")
            parts["import"] = gr.UploadButton(
                type="filepath", visible="hidden", elem_id="vv-voice-import"
            )
            parts["file"] = gr.DownloadButton(visible="hidden", elem_id="vv-voice-zip")
    player = _panel("voices_player", {}, "vv-player-bar")
    convert.build(studio, blocks)
    _wire_clip(parts, form, player, clips)
    _wire_list(parts, player, lists)
    parts["clip"].like(lists.like, None, parts["list"], **LONG)
    here.select(lists.open, None, parts["list"], **AT_ONCE)

    def leave(visitor: gr.Request) -> None:
        visits.leave(visitor.session_hash or "")

    blocks.unload(leave)


def _wire_clip(parts: dict[str, Any], form: gr.Column, player: gr.HTML, to: Clips) -> None:
    clip = parts["clip"]
    shown = [clip, form]
    parts["upload"].upload(to.take_clip, parts["upload"], shown, **CLIPS_AT_ONCE)
    clip.denoise(to.denoise, None, shown, **CLIPS_AT_ONCE)
    clip.discard(to.discard, None, shown, **AT_ONCE)
    clip.listen(to.listen, None, player, **LONG)
    saved = [clip, form, parts["message"], parts["list"], *parts["fields"]]
    parts["save"].click(to.save, parts["fields"], saved, **LONG)


def _wire_list(parts: dict[str, Any], player: gr.HTML, to: Lists) -> None:
    shown = parts["list"]
    for name in ("look", "rename", "remove", "forget"):
        getattr(shown, name)(getattr(to, name), None, shown, **LONG)
    shown.play(to.play, None, player, **LONG)
    shown.speak(to.speak, None, player, **LONG)
    player.hush(to.hush, **AT_ONCE)
    parts["import"].upload(to.take_in, parts["import"], shown, **LONG)
    exported = shown.export(to.export, None, parts["file"], **LONG)
    exported.success(None, None, None, js=CLICK_FILE)


def _form(studio: Studio) -> list[Any]:
    common: dict[str, Any] = {"min_width": 0}
    spoken = [("Not said", ""), *choices.languages(studio.voices())]
    with gr.Row():
        name = gr.Textbox(label="Name", max_lines=1, max_length=100, **common)
        language = gr.Dropdown(
            spoken,
            value="",
            label="Language",
            allow_custom_value=True,
            num_choices_shown=None,
            **common,
        )
    tags = gr.Textbox(label="Tags", placeholder="warm, narrator", max_lines=1, **common)
    transcript = gr.Textbox(
        label="What is said in the clip",
        info="Some engines copy a voice better with it. Leave it empty if you are not sure.",
        lines=2,
        **common,
    )
    with gr.Column(elem_id="vv-consent", min_width=0):
        who = gr.Textbox(label="Who speaks in the clip", max_lines=1, **common)
        purpose = gr.Textbox(
            label="What the voice may be used for", value=PURPOSE, max_lines=1, **common
        )
        agreed = gr.Checkbox(label=AGREED, elem_id="vv-agreed", **common)
    return [name, language, tags, transcript, who, purpose, agreed]


def _panel(name: str, value: dict[str, Any], elem_id: str) -> gr.HTML:
    return gr.HTML(
        value,
        html_template=(STATIC / f"{name}.html").read_text("utf-8"),
        js_on_load=(STATIC / f"{name}.js").read_text("utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )
