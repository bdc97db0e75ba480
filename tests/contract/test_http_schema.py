"""Whatever our own description of the interface allows, and much that it does not, gets an answer
that the description announces: never a 500, never another form."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import served

MODES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 6}  # requests to each operation
LEFT_OUT = {
    # the description cannot say which voices, presets and ids there are, nor what can be spoken
    "positive_data_acceptance": {"enabled": False},
    # what looks wrong to the description may be right: more fields, a number as a query's text
    "negative_data_rejection": {"enabled": False},
}


def test_every_answer_is_one_that_was_announced(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)
    limits = Settings(
        data_dir=tmp_path, presets_dir=tmp_path / "none", max_chars=500, offline=True, shared=False
    )
    found: dict[str, str] = {}
    with served(Studio(limits)) as url:
        config = SchemathesisConfig.from_dict({"checks": LEFT_OUT})
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
        operations = [result.ok() for result in schema.get_all_operations()]
        for operation in operations:
            for mode, examples in MODES.items():
                try:
                    ask(operation, mode, examples)
                except (FailureGroup, AssertionError) as error:
                    found[f"{operation.label} {mode.value}"] = str(error)
    assert len(operations) > 10
    assert not found, "\n\n".join(f"{label}\n{said}" for label, said in found.items())


def ask(operation: schemathesis.APIOperation, mode: GenerationMode, examples: int) -> None:
    """Send an operation some requests of its own making, and check the answers."""

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        case.call_and_validate(timeout=30)

    try:
        run()
    except hypothesis.errors.Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "nothing wrong can be said where nothing is taken"
