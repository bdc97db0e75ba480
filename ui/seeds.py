"""Whether another seed gives another reading, and what to say where it does not."""

from __future__ import annotations

from studio.jobs import Plan
from studio.studio import Studio

VARIATION = "variation"  # an engine's control of this name scales whatever the seed decides


def why_fixed(studio: Studio, plan: Plan) -> str:
    """Why another seed would change nothing; "" where it would change something."""
    capability = studio.engine(plan.engine).capability
    if not capability.uses_seed:
        return f"{capability.title} reads a sentence the same way whatever the seed."
    if getattr(plan.controls, VARIATION, None) == 0:
        return (
            f"Variation is 0, so {capability.title} reads a sentence the same way whatever the "
            "seed. Raise it under “Fine-tune the voice” for another reading."
        )
    return ""
