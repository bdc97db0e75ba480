"""The Devices tab: memory, what is loaded, requests in work, live while it is looked at."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.jobs import Job
from studio.studio import Studio
from ui import devices_view, memory_plot
from ui.desk import Desks

EVERY = 1.5  # seconds between two looks
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
CLICKS = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { cancel, unload } = button.dataset;
  if (cancel) trigger("cancel_job", { job: cancel });
  if (unload) trigger("unload", { name: unload });
});
"""


class Handlers:
    """What happens on the tab. On a shared machine a visitor sees and stops his own jobs only."""

    def __init__(self, studio: Studio, desks: Desks) -> None:
        self._studio = studio
        self._desks = desks
        self._sampler = memory_plot.Sampler()

    def open(self, visitor: gr.Request) -> tuple[str, gr.Timer]:
        """Outputs: panel, timer."""
        return self.look(visitor), gr.Timer(active=True)

    def look(self, visitor: gr.Request) -> str:
        if self._studio.settings.shared:
            return devices_view.shared_page(self._studio, self._jobs(visitor))
        return devices_view.page(self._studio, self._sampler)

    def cancel(self, visitor: gr.Request, event: gr.EventData) -> str:
        for job in self._jobs(visitor):
            if job.id == event._data["job"]:
                job.cancel()
        return self.look(visitor)

    def unload(self, visitor: gr.Request, event: gr.EventData) -> str:
        name = event._data["name"]
        if self._studio.settings.shared:  # the button isn't shown there, but anyone can send this
            raise gr.Error("This machine is shared: its models are everybody's.")
        if not self._studio.memory.unload(name):
            gr.Info(f"{name} is in use, or has left already.")
        return self.look(visitor)

    def _jobs(self, visitor: gr.Request) -> tuple[Job, ...]:
        jobs = self._studio.jobs()
        if not self._studio.settings.shared:
            return jobs
        return tuple(job for job in jobs if self._desks.owns(visitor.session_hash, job))


def build(studio: Studio, desks: Desks, here: gr.Tab, elsewhere: gr.Tab) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        here: this tab. elsewhere: the other one, which ends the watching when it is chosen.
    """
    handlers = Handlers(studio, desks)
    panel = gr.HTML("", js_on_load=CLICKS, apply_default_css=False, elem_id="vv-devices")
    timer = gr.Timer(EVERY, active=False)
    here.select(handlers.open, None, [panel, timer], **QUIET)
    elsewhere.select(lambda: gr.Timer(active=False), None, timer, **QUIET)
    timer.tick(handlers.look, None, panel, **QUIET)
    panel.cancel_job(handlers.cancel, None, panel, **QUIET)
    panel.unload(handlers.unload, None, panel, **QUIET)
