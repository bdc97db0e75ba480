"""The History tab: every take that was made, to hear, compare, make again, take along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from studio.encode import FORMATS
from studio.studio import Studio
from ui.history_handlers import Handlers, server_functions
from ui.tabs.speak import SpeakForm
from ui.take_view import LABELS

STATIC = Path(__file__).parent.parent / "static"
# one after the other they are one script; what runs at once comes last
SCRIPTS = ("player.js", "wave.js", "history_turn.js", "history_rows.js", "history.js",
           "history_pair.js")  # fmt: skip
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}
LONG: dict[str, Any] = {**QUIET, "concurrency_limit": None}
CLICK_FILE = "() => document.querySelector('#vv-history-file').click()"


def build(studio: Studio, here: gr.Tab, tabs: gr.Tabs, form: SpeakForm) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        here: this tab. tabs: all of them. form: what "Open in Speak" fills in.
    """
    handlers = Handlers(studio, form.handlers.fill, len(form.outputs))
    panel = gr.HTML(
        {},
        html_template=(STATIC / "history.html").read_text("utf-8"),
        js_on_load="\n".join((STATIC / name).read_text("utf-8") for name in SCRIPTS),
        apply_default_css=False,
        server_functions=list(server_functions(studio)),
        elem_id="vv-history",
        formats=[{"name": n, "label": LABELS.get(n, n.upper())} for n in FORMATS],
    )
    # clicked by the page once a download is ready
    file = gr.DownloadButton(visible="hidden", elem_id="vv-history-file")
    here.select(handlers.open, panel, panel, **AT_ONCE)
    panel.look(handlers.look, None, panel, **AT_ONCE)
    panel.pin(handlers.pin, None, panel, **AT_ONCE)
    panel.remove(handlers.remove, None, panel, **AT_ONCE)
    panel.again(handlers.again, None, panel, **LONG)
    opened = [panel, tabs, *form.outputs]
    panel.open_in_speak(handlers.open_in_speak, None, opened, **AT_ONCE)
    downloaded = panel.download(handlers.download, None, [panel, file], **LONG)
    downloaded.success(None, None, None, js=CLICK_FILE)
