"""The take panel: one component that plays a take, lists its sentences and asks for downloads.

Sound travels in pieces through Gradio's own channel for server functions. So it works wherever the
Blocks work, mounted or launched, behind a proxy or on a Space, needs no codec in the browser and no
ffmpeg on the host, begins with the first samples, and can be moved about in while it is made.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from studio.encode import FORMATS
from ui import asked as asked_for
from ui import view
from ui.desk import Desks
from ui.examples import EXAMPLES

STATIC = Path(__file__).parent / "static"
# one after the other they are one script; what runs at once comes last
SCRIPTS = ("player.js", "wave.js", "sentences.js", "take_view.js", "page.js")
LABELS = {"opus": "Opus", "pcm": "PCM (raw)"}
LONGEST_READ = 10.0  # seconds of sound in one answer
MOST_BARS = 2_000
MOST_SENTENCES = 50


def build(desks: Desks, sample_rate: int) -> gr.HTML:
    """The panel. Its events are "again" {number}, "download" {what, format}, "example" {number},
    "keep" {name}.

    Args:
        sample_rate: of the engine that is chosen first, so that sound can begin without a pause.
    """
    return gr.HTML(
        view.View().as_json(),
        html_template=(STATIC / "take_view.html").read_text("utf-8"),
        js_on_load="\n".join((STATIC / name).read_text("utf-8") for name in SCRIPTS),
        apply_default_css=False,
        server_functions=list(_server_functions(desks)),
        elem_id="vv-take",
        rate=sample_rate,
        formats=[{"name": n, "label": LABELS.get(n, n.upper())} for n in FORMATS],
        examples=[{"name": e.name, "language": e.language} for e in EXAMPLES],
    )


def _server_functions(desks: Desks) -> tuple[Callable[[Any], dict[str, Any]], ...]:
    def read_sound(asked: Any) -> dict[str, Any]:
        """16-bit little-endian samples, as base64."""

        def answer() -> dict[str, Any]:
            take = desks.take(asked_for.text(asked, "take"))
            most = int(LONGEST_READ * take.sample_rate)
            start, count = asked_for.number(asked, "start"), asked_for.number(asked, "count")
            return {"pcm": base64.b64encode(take.pcm(start, min(count, most))).decode()}

        return asked_for.answered(answer)

    def peaks(asked: Any) -> dict[str, Any]:
        def answer() -> dict[str, Any]:
            take = desks.take(asked_for.text(asked, "take"))
            return {"peaks": take.peaks(min(asked_for.number(asked, "bars"), MOST_BARS))}

        return asked_for.answered(answer)

    def sentences(asked: Any) -> dict[str, Any]:
        def answer() -> dict[str, Any]:
            take = desks.take(asked_for.text(asked, "take"))
            first, count = asked_for.number(asked, "first"), asked_for.number(asked, "count")
            last = min(len(take), first + min(count, MOST_SENTENCES))
            rows = [take.sentence(number) for number in range(first, last)]
            return {
                "sentences": [
                    {
                        "number": row.number,
                        "text": row.text.strip(),
                        "start": row.start,
                        "end": row.end,
                        "seed": row.made_with["seed"],
                    }
                    for row in rows
                ]
            }

        return asked_for.answered(answer)

    return read_sound, peaks, sentences
