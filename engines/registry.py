"""Family name → lazy import. A sixth family adds one line here, and one more where its releases can
be converted."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from engines.api import Engine
from engines.errors import UnknownEngine

FAMILIES: dict[str, str] = {
    "espeak": "engines.espeak.engine:EspeakEngine",
    "espnet_vits": "engines.espnet_vits.engine:EspnetVitsEngine",
    "coqui": "engines.coqui.engine:CoquiEngine",
    "spark": "engines.spark.engine:SparkEngine",
}

# Modules that write a family's releases in other forms: `commands/convert.py` says what they offer.
CONVERTERS: dict[str, str] = {
    "espnet_vits": "engines.espnet_vits.converting",
    "spark": "engines.spark.converting",
    "coqui": "engines.coqui.xtts.converting",
}

DEFAULT_ENGINE = "espeak"


def names() -> tuple[str, ...]:
    return tuple(FAMILIES)


@cache
def engine_class(name: str) -> type[Engine]:
    """The engine's class, imported when first asked for.

    Raises:
        UnknownEngine: no family has that name.
    """
    if name not in FAMILIES:
        raise UnknownEngine(
            f"There is no engine {name!r:.80}.",
            f"Engines here: {', '.join(FAMILIES)}.",
            "Pick one of them, or leave the engine out for the default.",
            param="engine",
        )
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(import_module(module), attribute)
