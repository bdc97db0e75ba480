"""Whether another seed gives another reading, and what to say where it does not."""

from __future__ import annotations

from studio.jobs import Plan
from studio.studio import Studio


def why_fixed(studio: Studio, plan: Plan) -> str:
    """Why another seed would change nothing; "" where it would change something."""
    capability = studio.engine(plan.engine).capability
    if not capability.uses_seed:
        return f"{capability.title} reads a sentence the same way whatever the seed."
    return ""
