"""Spark-TTS' language model on XLA: the answers of the CPU, from graphs compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.api import CancelToken
from engines.decode import GREEDY, Sampling
from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets
from engines.runtime.eager import EagerRuntime
from engines.runtime.step import StepStage
from engines.runtime.xla import XlaRuntime, compile_count
from engines.spark import prompts
from engines.spark.answers import Grammar
from engines.spark.llm_checkpoint import load_llm
from engines.spark.llm_config import read_llm_config
from engines.spark.llm_stages import llm_stages
from engines.spark.tokens import read_tokens
from engines.spark.writing import Asked, write
from tests.spark_release import release_folder

pytestmark = pytest.mark.timeout(300)

SPEAKERS = 32
TABLE = {"B": Buckets([2]), "T_new": Buckets([56])}
SIZES = Buckets([64, 128])  # an answer grows from one into the other


def test_answers_are_those_of_the_cpu_and_nothing_is_compiled_later(tmp_path: Path) -> None:
    release = release_folder()
    tokens = read_tokens(release)
    config = read_llm_config(release, tokens.count)
    runtime = XlaRuntime("xla:0", buckets=TABLE, cache=tmp_path / "xla")

    def bound(bind: Any) -> Mapping[str, Any]:
        model = load_llm(release, config, SIZES.largest)
        made = llm_stages(model, config, tokens)
        made = [replace(e, sizes=SIZES) if isinstance(e, StepStage) else e for e in made]
        return {each.name: bind(each) for each in made}

    def answers(stages: Mapping[str, Any], sampling: Sampling) -> list[list[int]]:
        prompt = prompts.control("It is late.", "female", 1, 2)
        made = prompts.clone("Hello there, this is Spark.", range(SPEAKERS))
        asked = [
            Asked(tokens.encode(prompt), "control", 1, 60),
            Asked(tokens.encode(made), "clone", 2, 40),
        ]
        found: list[list[int]] = [[] for _ in asked]
        grammar, how = Grammar(tokens, SPEAKERS), {"cancel": CancelToken()}
        for each in write(stages, memory, "t", asked, grammar, sampling, **how):
            found[each.row].append(each.token)
        return found

    memory = MemoryManager(idle_ttl=1e9)
    exact, stages = bound(EagerRuntime("cpu").bind), bound(runtime.bind)
    for stage in stages.values():
        list(stage.warm_up())
    warm = compile_count()
    for sampling in (GREEDY, Sampling(temperature=3.0)):
        assert answers(stages, sampling) == answers(exact, sampling)
    assert compile_count() == warm
    assert runtime.recompiled == 0
    memory.close()
