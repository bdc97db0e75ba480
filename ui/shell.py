"""The page around the tabs: header, theme, and how it is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Gradio asks matplotlib for its backend at the first event. Where none is named, that imports all
# of pyplot and holds the whole server up for seconds.
os.environ.setdefault("MPLBACKEND", "agg")

import gradio as gr

from studio.studio import Studio
from ui import api
from ui.desk import Desks
from ui.tabs import devices, history, models, speak, voices
from ui.theme import theme

STATIC = Path(__file__).parent / "static"
HOUR = 3600
CACHE_KEPT = 6 * HOUR  # downloads and dropped files
MOST_BYTES = 4 * 1024**2  # of a dropped file: a million characters in any encoding


def build(studio: Studio) -> gr.Blocks:
    """The browser studio. Serve it with `mount_options`, mounted or by `launch`."""
    # /tmp/gradio belongs to whichever user of the machine came first
    os.environ.setdefault("GRADIO_TEMP_DIR", str(studio.settings.cache_dir / "gradio"))
    desks = Desks(studio)
    with gr.Blocks(
        title="Vivavoce",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(HOUR, CACHE_KEPT),
    ) as blocks:
        api.build(studio, blocks)  # before the tabs, whose handlers would get its names
        gr.HTML(
            (STATIC / "header.html").read_text("utf-8"),
            js_on_load=(STATIC / "header.js").read_text("utf-8"),
            apply_default_css=False,
            elem_id="vv-header",
        )
        with gr.Tabs(elem_id="vv-tabs") as tabs:
            with gr.Tab("Speak", id="speak") as speak_tab:
                form = speak.build(studio, desks, speak_tab)
            with gr.Tab("Voices", id="voices") as voices_tab:
                voices.build(studio, blocks, voices_tab)
            with gr.Tab("History", id="history") as history_tab:
                history.build(studio, history_tab, tabs, form)
            with gr.Tab("Models", id="models"):
                models.build(studio, tabs)
            with gr.Tab("Devices", id="devices"):
                devices.build(studio, desks, tabs)

        def leave(visitor: gr.Request) -> None:
            desks.leave(visitor.session_hash)

        blocks.unload(leave)
    return blocks


def mount_options(most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """What `gr.mount_gradio_app` and `Blocks.launch` both take: looks, and what is not served.

    Args:
        most_bytes: of one uploaded file.
    """
    return {
        "theme": theme(),
        "css_paths": [
            STATIC / name for name in ("style.css", "history.css", "models.css", "voices.css")
        ],
        "favicon_path": STATIC / "favicon.png",
        "head": (STATIC / "head.html").read_text("utf-8"),
        "allowed_paths": [],
        "max_file_size": most_bytes,
        "footer_links": [],
        "run_history": False,
        "ssr_mode": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "show_error": True,
    }
