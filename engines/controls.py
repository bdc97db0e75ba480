"""Controls as data: one description of an engine's pydantic model for UI, HTTP and CLI."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from engines.api import Controls
from engines.errors import BadControl

C = TypeVar("C", bound=Controls)
ControlKind = Literal["float", "int", "bool", "choice", "text"]


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """One control. `minimum`, `maximum` and `step` are set for numbers, `choices` for a choice."""

    name: str
    label: str
    help: str
    kind: ControlKind
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What may be given, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "bool":
            return "true or false"
        if self.kind == "text":
            return "text"
        noun = "a whole number" if self.kind == "int" else "a number"
        if self.minimum is None or self.maximum is None:
            return noun
        return f"{noun} from {self.minimum:g} to {self.maximum:g}"


def describe(model: type[Controls]) -> tuple[ControlSpec, ...]:
    """The controls that a model declares, in the order in which it declares them."""
    return tuple(_spec(name, info) for name, info in model.model_fields.items())


def _spec(name: str, info: FieldInfo) -> ControlSpec:
    kind, choices = _kind(info.annotation)
    bounds: dict[str, float] = {}
    for item in info.metadata:
        for attribute in ("ge", "gt", "le", "lt", "multiple_of"):
            value = getattr(item, attribute, None)
            if value is not None:
                bounds[attribute] = value
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return ControlSpec(
        name=name,
        label=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        kind=kind,
        default=info.get_default(call_default_factory=True),
        minimum=bounds.get("ge", bounds.get("gt")),
        maximum=bounds.get("le", bounds.get("lt")),
        step=typing.cast("float | None", extra.get("step", bounds.get("multiple_of"))),
        choices=choices,
    )


def _kind(annotation: Any) -> tuple[ControlKind, tuple[str, ...]]:
    if typing.get_origin(annotation) is Literal:
        return "choice", tuple(str(value) for value in typing.get_args(annotation))
    kinds: dict[Any, ControlKind] = {float: "float", int: "int", bool: "bool", str: "text"}
    if annotation not in kinds:
        raise TypeError(f"a control of type {annotation!r} has no widget; see engines/controls.py")
    return kinds[annotation], ()


def validate(model: type[C], values: Mapping[str, object]) -> C:
    """Check given values against a model.

    Raises:
        BadControl: names the first control at fault, its value and what it takes.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        specs = {spec.name: spec for spec in describe(model)}
        if name not in specs:
            raise BadControl(
                f"There is no control {name!r:.80}.",
                f"This engine has: {', '.join(specs) or 'none'}.",
                "Leave it out or pick one of these.",
                param=name,
            ) from None
        raise BadControl(
            f"{name} was {values.get(name)!r:.80}.",
            f"It takes {specs[name].allowed} (default {specs[name].default}).",
            "Change it and try again.",
            param=name,
        ) from None
