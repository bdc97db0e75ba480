"""The Models tab: published models, what is installed and in memory, live while it is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from engines.errors import VivavoceError
from studio.models.shelf import of_engine
from studio.models.warm import Loading, WarmEngine, can_warm_up
from studio.studio import Studio
from ui import models_view

STATIC = Path(__file__).resolve().parent.parent / "static"
NAME = "models"  # id of the tab
EVERY = 1.0  # seconds between two looks
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
SHARED = "This machine is shared: its models are everybody's."


class Handlers:
    """What happens on the tab. A shared machine shows what it has and lets nobody change it: the
    buttons are not there, but anyone can send what they send."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._loadings: dict[str, Loading] = {}

    def chosen(self, event: gr.SelectData) -> tuple[Any, gr.Timer]:
        """Outputs: panel, timer. Called when any tab is chosen."""
        here = event.value == "Models"
        return (self.look() if here else gr.skip()), gr.Timer(active=here)

    def look(self) -> dict[str, Any]:
        if self._studio.settings.shared:
            return {"panel": models_view.shared_page(self._studio), "pulse": {}}
        installed = self._studio.models.installed()
        return {
            "panel": models_view.page(self._studio, installed, self._loadings),
            "pulse": models_view.pulse(self._studio, installed),
        }

    def fetch(self, event: gr.EventData) -> dict[str, Any]:
        model, accept = str(event._data["model"]), event._data.get("accept") is True
        self._do(lambda: self._studio.models.download(model, accept_licence=accept))
        return self.look()

    def stop(self, event: gr.EventData) -> dict[str, Any]:
        self._do(lambda: self._studio.models.cancel(_key(event)))
        return self.look()

    def remove(self, event: gr.EventData) -> dict[str, Any]:
        """Delete a model's folder, after what its engine holds of it has left the memory."""
        key = _key(event)
        self._check_own()

        def work() -> None:
            shelf = self._studio.models
            family = shelf.catalogue.family(shelf.in_folder(key)[0].model.family)
            memory = self._studio.memory
            for one in of_engine(memory.residents(), family.engine if family else ""):
                if not memory.unload(one.name):
                    raise gr.Error(f"{one.name} is in use. Wait until it is done, then delete.")
            shelf.remove(key)

        self._do(work)
        return self.look()

    def offload(self, event: gr.EventData) -> dict[str, Any]:
        return self._unload(_key(event), keep_host=True)

    def drop(self, event: gr.EventData) -> dict[str, Any]:
        return self._unload(_key(event), keep_host=False)

    def warm(self, event: gr.EventData) -> dict[str, Any]:
        """Load an engine's model ahead of the first sentence."""
        name = _key(event)
        self._check_own()
        running = self._loadings.get(name)
        if can_warm_up(name) and (running is None or running.over):
            self._do(lambda: self._load(name))
        return self.look()

    def unwarm(self, event: gr.EventData) -> dict[str, Any]:
        self._check_own()
        if (loading := self._loadings.get(_key(event))) is not None:
            loading.cancel()
        return self.look()

    def _load(self, name: str) -> None:
        engine = self._studio.engine(name)
        assert isinstance(engine, WarmEngine)
        self._loadings[name] = Loading(engine, name, self._studio.settings.device)

    def _unload(self, name: str, *, keep_host: bool) -> dict[str, Any]:
        self._check_own()
        if not self._studio.memory.unload(name, keep_host=keep_host):
            gr.Info(f"{name} is in use, or has left already.")
        return self.look()

    def _check_own(self) -> None:
        if self._studio.settings.shared:
            raise gr.Error(SHARED)

    @staticmethod
    def _do(work: Any) -> None:
        try:
            work()
        except VivavoceError as error:
            raise gr.Error(str(error)) from error


def _key(event: gr.EventData) -> str:
    return str(event._data["key"])


def build(studio: Studio, tabs: gr.Tabs) -> None:
    """The tab's widgets and what they do. Called inside the shell's Blocks.

    Args:
        tabs: all of them; choosing another one ends the watching.
    """
    handlers = Handlers(studio)
    panel = gr.HTML(
        {"panel": "", "pulse": {}},
        html_template="<div class='vv-models'></div>",
        js_on_load=(STATIC / "models.js").read_text("utf-8"),
        apply_default_css=False,
        elem_id="vv-models",
    )
    timer = gr.Timer(EVERY, active=False)
    tabs.select(handlers.chosen, None, [panel, timer], **QUIET)
    timer.tick(handlers.look, None, panel, **QUIET)
    for name in ("fetch", "stop", "remove", "offload", "drop", "warm", "unwarm"):
        getattr(panel, name)(getattr(handlers, name), None, panel, **QUIET)
