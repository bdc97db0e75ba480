"""Widgets for an engine's controls, made from what the engine declares (engines/controls.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.controls import ControlSpec, describe
from studio.studio import Studio

SLIDER_STEPS = 100  # of a range that declares no step


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The widgets of one engine, in one column that is shown while the engine is chosen."""

    engine: str
    specs: tuple[ControlSpec, ...]
    column: gr.Column
    widgets: tuple[Component, ...]

    def values(self, layers: Mapping[str, Any]) -> list[Any]:
        """One value a widget: the default, or what stands in `layers`."""
        return [layers.get(spec.name, spec.default) for spec in self.specs]


def build_groups(studio: Studio, chosen: str) -> tuple[ControlGroup, ...]:
    """A group for every engine; only that of the chosen one is visible."""
    return tuple(
        _build_group(studio, capability.name, capability.name == chosen)
        for capability in studio.capabilities()
    )


def _build_group(studio: Studio, engine: str, visible: bool) -> ControlGroup:
    specs = describe(studio.controls(engine))
    with gr.Column(visible=visible, elem_classes="vv-controls") as column:
        widgets = tuple(_widget(spec) for spec in specs)
    return ControlGroup(engine, specs, column, widgets)


def _widget(spec: ControlSpec) -> Component:
    common: dict[str, Any] = {"label": spec.label, "info": spec.help or None, "value": spec.default}
    if spec.kind == "bool":
        return gr.Checkbox(**common)
    if spec.kind == "choice":
        return gr.Dropdown(choices=list(spec.choices), **common)
    if spec.kind == "text":
        return gr.Textbox(**common)
    if spec.minimum is None or spec.maximum is None:
        return gr.Number(precision=0 if spec.kind == "int" else None, **common)
    step = spec.step or (1 if spec.kind == "int" else (spec.maximum - spec.minimum) / SLIDER_STEPS)
    return gr.Slider(spec.minimum, spec.maximum, step=step, **common)
