"""The language model's ONNX files beside torch, in answers to real prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.api import CancelToken
from engines.memory import MemoryManager
from engines.runtime.onnx_file import SUFFIX, read_stage, read_step
from engines.runtime.ort import OrtRuntime
from engines.spark import prompts
from engines.spark.agreement import agreement
from engines.spark.answers import Grammar, Kind
from engines.spark.llm_checkpoint import load_llm
from engines.spark.llm_config import read_llm_config
from engines.spark.llm_stages import HEAD_SEMANTIC, HEAD_VOICE, LLM, llm_positions, llm_stages
from engines.spark.tokens import Tokens

if TYPE_CHECKING:
    from engines.runtime.export import Row

TOKENS = 96  # of each answer
# Share of tokens that may differ. Speech has many that sound alike, so rounding chooses often.
MOST = {"fp32": 0.02, "int8": 0.3, "int4": 0.7}


def greedy_row(folder: Path, onnx: Path, tokens: Tokens, speakers: int, precision: str) -> Row:
    """The likeliest tokens of torch's answers in full precision, and those of the files.

    Args:
        folder: the release.
        onnx: holds its files.
        speakers: global tokens of a voice.

    Returns:
        A row whose differences are the number of other tokens and their share.

    Raises:
        BadCheckpoint: a file is missing or damaged.
    """
    from engines.runtime.eager import EagerRuntime
    from engines.runtime.export import Row

    config = read_llm_config(folder, tokens.count)
    model = load_llm(folder, config, llm_positions(config))
    exact: Any = {
        stage.name: EagerRuntime("cpu").bind(stage) for stage in llm_stages(model, config, tokens)
    }
    runtime = OrtRuntime()
    other: Any = {
        LLM: runtime.bind(read_step(onnx / f"{LLM}{SUFFIX}")),
        **{
            head: runtime.bind(read_stage(onnx / f"{head}{SUFFIX}"))
            for head in (HEAD_SEMANTIC, HEAD_VOICE)
        },
    }
    asked: list[tuple[list[int], Kind]] = [
        (tokens.encode(prompts.clone("The kettle is on.", range(speakers))), "clone"),
        (tokens.encode(prompts.control("It rains today.", "female", 2, 2)), "control"),
    ]
    memory, how = MemoryManager(), {"limit": TOKENS, "cancel": CancelToken()}
    try:
        grammar = Grammar(tokens, speakers)
        same, steps = agreement(exact, other, memory, asked, grammar, **how)  # type: ignore[arg-type]
    finally:
        memory.close()
    differ = steps - same
    share = differ / steps
    sizes = {"answers": len(asked), "tokens": steps}
    return Row(LLM, sizes, "greedy tokens", differ, share, share <= MOST[precision])
