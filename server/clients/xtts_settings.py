"""What a client of the XTTS dialect has set, kept for each client apart and only in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from engines.controls import validate
from engines.errors import InvalidRequest
from studio.studio import Studio

CLIENTS = 256  # whose settings are kept; the one that was away longest goes first

Number = Annotated[float, Field(strict=True)]


class XttsSettings(BaseModel):
    """The sliders of the XTTS API server, with its ranges and defaults. An engine takes those
    that it has a control for."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    temperature: Annotated[Number, Field(ge=0.01, le=1, description="a number from 0.01 to 1")] = (
        0.75
    )
    speed: Annotated[Number, Field(ge=0.2, le=2, description="a number from 0.2 to 2")] = 1.0
    length_penalty: Annotated[
        Number, Field(ge=-10, le=10, description="a number from -10 to 10")
    ] = 1.0
    repetition_penalty: Annotated[
        Number, Field(ge=0.1, le=10, description="a number from 0.1 to 10")
    ] = 5.0
    top_p: Annotated[Number, Field(ge=0.01, le=1, description="a number from 0.01 to 1")] = 0.85
    top_k: Annotated[StrictInt, Field(ge=1, le=100, description="a whole number from 1 to 100")] = (
        50
    )
    enable_text_splitting: Annotated[StrictBool, Field(description="true or false")] = True
    stream_chunk_size: Annotated[
        StrictInt, Field(ge=20, le=400, description="a whole number from 20 to 400")
    ] = 100

    def controls(self, studio: Studio, engine: str) -> dict[str, Any]:
        """What the engine has a control for, of what differs from the sliders' own defaults:
        clients send all of them, moved or not, and voices may have better defaults."""
        known = studio.controls(engine).model_fields
        moved = self.model_dump(exclude_defaults=True)
        return {name: value for name, value in moved.items() if name in known}


def parse_settings(values: dict[str, Any], studio: Studio) -> tuple[XttsSettings, tuple[str, ...]]:
    """Check settings, and tell which of them no engine here has a control for.

    Raises:
        InvalidRequest: names the first field at fault, its value and what it takes.
    """
    fields = XttsSettings.model_fields
    try:
        settings = XttsSettings.model_validate(values)
    except ValidationError as error:
        name = str(error.errors(include_url=False)[0]["loc"][0])
        if name not in fields:
            raise InvalidRequest(
                f"There is no setting {name!r:.80}.",
                f"Settings: {', '.join(fields)}.",
                "Leave it out.",
                param=name,
            ) from None
        raise InvalidRequest(
            f"{name} was {values[name]!r:.80}.",
            f"It takes {fields[name].description}.",
            "Change it and try again.",
            param=name,
        ) from None
    known: set[str] = set()
    for capability in studio.capabilities():
        controls = studio.controls(capability.name)
        validate(controls, settings.controls(studio, capability.name))
        known.update(controls.model_fields)
    return settings, tuple(name for name in fields if name in values and name not in known)


class SettingsShelf:
    """Settings by client."""

    def __init__(self, clients: int = CLIENTS) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, XttsSettings] = OrderedDict()

    def of(self, client: str) -> XttsSettings:
        with self._lock:
            if client not in self._kept:
                return XttsSettings()
            self._kept.move_to_end(client)
            return self._kept[client]

    def keep(self, client: str, settings: XttsSettings) -> None:
        with self._lock:
            self._kept[client] = settings
            self._kept.move_to_end(client)
            while len(self._kept) > self._clients:
                self._kept.popitem(last=False)
