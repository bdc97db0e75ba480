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


def layers(studio: Studio, engine: str, voice: str | None, preset: str) -> dict[str, Any]:
    """The values that a preset and a starter voice set; the others keep their defaults.

    Raises:
        UnknownPreset: there is none of that name.
    """
    values = dict(studio.presets.engine_preset(preset).controls) if preset else {}
    starter = studio.presets.starter_voice(voice, engine)
    return {**values, **(starter.controls if starter else {})}


def build_groups(studio: Studio, chosen: str, voice: str) -> tuple[ControlGroup, ...]:
    """A group for every engine; only that of the chosen one is visible, set for that voice."""
    set_values = layers(studio, chosen, voice, preset="")
    return tuple(
        _build_group(studio, capability.name, capability.name == chosen, set_values)
        for capability in studio.capabilities()
    )


def changed(spec: ControlSpec, layers: Mapping[str, Any] | None, visible: bool | None) -> Any:
    """What a handler returns for a control's widget.

    Args:
        layers: values that are set, the default holding for others; None leaves what is there.
        visible: whether it is shown; None leaves that too.
    """
    value = gr.skip() if layers is None else layers.get(spec.name, spec.default)
    if visible is None:
        return value
    return gr.update(visible=visible, **({} if layers is None else {"value": value}))


def _build_group(
    studio: Studio, engine: str, chosen: bool, set_values: Mapping[str, Any]
) -> ControlGroup:
    specs = describe(studio.controls(engine))
    with gr.Column(visible=chosen, elem_classes="vv-controls") as column:
        widgets = tuple(
            _widget(spec, set_values.get(spec.name, spec.default) if chosen else spec.default)
            for spec in specs
        )
    return ControlGroup(engine, specs, column, widgets)


def _widget(spec: ControlSpec, value: Any) -> Component:
    common: dict[str, Any] = {"label": spec.label, "info": spec.help or None, "value": value}
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
