"""What `say` can be told, looked up in the declarations: formats, controls, presets."""

from __future__ import annotations

from engines import registry
from engines.controls import describe
from studio import presets
from studio.encode import FORMATS
from studio.settings import PRESETS_DIR


def catalogue() -> str:
    lines = [f"formats: {', '.join(FORMATS)}", ""]
    for name in registry.names():
        engine = registry.engine_class(name)
        lines.append(f"controls of {engine.capability.title} (--engine {name}):")
        for spec in describe(engine.controls):
            lines.append(f"  {spec.name}: {spec.allowed} (default {spec.default}). {spec.help}")
    lines += ["", "presets:"]
    lines += [f"  {p.id}: {p.description}" for p in presets.load(PRESETS_DIR).engines]
    return "\n".join(lines)
