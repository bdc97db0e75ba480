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
  // not called unload: that is Gradio's own event, of a page that is closed
  if (unload) trigger("dismiss", { name: unload });
});
"""


class Handlers:
    """What happens on the tab. On a shared machine a visitor sees and stops his own jobs only."""

    def __init__(self, studio: Studio, desks: Desks) -> None:
        self._studio = studio
        self._desks = desks
        self._sampler = memory_plot.Sampler()

    def chosen(self, visitor: gr.Request, event: gr.SelectData) -> tuple[Any, gr.Timer]:
        """Outputs: panel, timer. Called when any tab is chosen."""
        here = event.value == "Devices"
        return (self.look(visitor) if here else gr.skip()), gr.Timer(active=here)

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


def build(studio: Studio, desks: Desks, tabs: gr.Tabs) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        tabs: this one and the others: it is live only while it is looked at.
    """
    handlers = Handlers(studio, desks)
    panel = gr.HTML("", js_on_load=CLICKS, apply_default_css=False, elem_id="vv-devices")
    timer = gr.Timer(EVERY, active=False)
    tabs.select(handlers.chosen, None, [panel, timer], **QUIET)
    timer.tick(handlers.look, None, panel, **QUIET)
    panel.cancel_job(handlers.cancel, None, panel, **QUIET)
    panel.dismiss(handlers.unload, None, panel, **QUIET)
