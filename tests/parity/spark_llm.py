"""How the cases of Spark-TTS' language model are replayed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.api import CancelToken
from engines.checkpoint import Report
from engines.decode import GREEDY, Sampling, probabilities
from engines.memory import MemoryManager
from engines.nn.kv_cache import KvCache, last
from engines.runtime.stage import Port
from engines.spark import prompts
from engines.spark.answers import Grammar, Kind
from engines.spark.llm import Llm
from engines.spark.llm_checkpoint import LLM_FILE, examine_llm, load_llm
from engines.spark.llm_config import published_llm, read_llm_config
from engines.spark.llm_stages import MOST_TOKENS, head, llm_positions, llm_stages
from engines.spark.tokens import LEVELS, Tokens, read_tokens
from engines.spark.writing import Asked, write
from tests.parity.parts import Lazy
from tests.parity.replay import Arrays, Case, Handler
from tests.parity.runtimes import Runtime

GLOBALS = 32  # of a voice
LEVEL = dict(zip(("very_low", "low", "moderate", "high", "very_high"), range(LEVELS), strict=True))

# Semantic and global tokens of a clip, from the codec.
Listen = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Replayer:
    """
    Args:
        listen: what the codec hears in a clip.
    """

    def __init__(self, folder: Path, runtime: Runtime, listen: Listen) -> None:
        self._folder = folder / "checkpoint"
        self._runtime = runtime
        self._listen = listen

    def handler(self, stage: str) -> Handler | str | None:
        return getattr(self, f"_do_{stage.removeprefix('llm.')}", None)

    @cached_property
    def tokens(self) -> Tokens:
        return read_tokens(self._folder)

    @cached_property
    def config(self):
        return read_llm_config(self._folder, self.tokens.count)

    @cached_property
    def model(self) -> Llm:
        return load_llm(self._folder, self.config, llm_positions(self.config))

    @cached_property
    def bound(self) -> Mapping[str, Any]:
        every = head("head_all", self.model, np.arange(self.config.vocab_size))
        stages = [*llm_stages(self.model, self.config, self.tokens), every]
        made = {each.name: each for each in stages}
        return Lazy(lambda name: self._runtime.bind(made[name]))

    def answered(self, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An e2e case's prompt and the greedy answer to it, int64 [n]; and by how much the
        likeliest of all tokens led at each step, float32 [n]."""
        prompt, kind = self._prompt(case)
        limit = int(case.inputs.get("max_new_tokens", MOST_TOKENS))
        asked = [Asked(prompt, kind, 0, limit)]
        grammar, memory = Grammar(self.tokens, GLOBALS), MemoryManager()
        how = {"cancel": CancelToken()}
        spoken = list(write(self.bound, memory, "parity", asked, grammar, GREEDY, **how))
        memory.close()
        hidden = np.stack([each.outputs["hidden"] for each in spoken])
        logits = np.concatenate([self.bound["head_all"](hidden=h[None])["logits"] for h in hidden])
        best = np.sort(logits, axis=1)
        return np.array(prompt), np.array([e.token for e in spoken]), best[:, -1] - best[:, -2]

    def _prompt(self, case: Case) -> tuple[list[int], Kind]:
        """What an e2e case asks."""
        given = case.inputs
        text = _text(given["text"])
        if "gender" in given:
            gender, pitch, speed = (_text(given[name]) for name in ("gender", "pitch", "speed"))
            asked = prompts.control(text, gender, LEVEL[pitch], LEVEL[speed])
            return self.tokens.encode(asked), "control"
        semantic, speaker = self._listen(given["audio"])
        said = _text(given["prompt_text"]) if "prompt_text" in given else ""
        asked = prompts.clone(text, speaker, said, semantic)
        return self.tokens.encode(asked), "continue" if said else "clone"

    def _do_tokenizer(self, case: Case) -> Arrays:
        return {
            name.replace("text", "ids"): np.array(self.tokens.encode(_text(each)), np.int64)
            for name, each in case.inputs.items()
        }

    def _do_detokenizer(self, case: Case) -> Arrays:
        ids = case.inputs["ids"].tolist()
        return {
            "text": _bytes(self.tokens.decode(ids)),
            "semantic": self.tokens.semantic_of(ids),
            "global": self.tokens.globals_of(ids),
        }

    def _do_prompts(self, case: Case) -> Arrays:
        kinds = {name.removeprefix("prompt_") for name in case.expected if "prompt_" in name}
        made = {name: self._asked(case.inputs, *name.split("_")) for name in sorted(kinds)}
        return {
            **{f"prompt_{name}": _bytes(each) for name, each in made.items()},
            **{f"ids_{name}": np.array(self.tokens.encode(each)) for name, each in made.items()},
        }

    def _asked(self, given: Arrays, kind: str, *rest: str) -> str:
        """The prompt that a name such as "continuation_2" or "control_female_low_high_1" tells."""
        *manner, number = rest
        text = _text(given[f"text_{number}"])
        if kind == "control":
            gender, *levels = manner
            pitch, speed = (LEVEL[level.replace("very", "very_")] for level in levels)
            return prompts.control(text, gender, pitch, speed)
        semantic, speaker = self._listen(given[f"audio_{number}"])
        if kind == "continuation":
            return prompts.clone(text, speaker, _text(given["prompt_text"]), semantic)
        return prompts.clone(text, speaker)

    def _do_forward(self, case: Case) -> Arrays:
        found = self._forward(case, {}, 0)
        return {**found, "logits_last": found["logits"]}

    def _do_decode_step(self, case: Case) -> Arrays:
        past = {name: each for name, each in case.inputs.items() if name != "input_ids"}
        return self._forward(case, past, past["past_key_0"].shape[2])

    def _forward(self, case: Case, past: Arrays, before: int) -> Arrays:
        """Everything that one call computes, and what stands in the carry afterwards."""
        stage = self._every_state
        steps = self._runtime.bind(stage)
        layers = range(self.config.num_hidden_layers)
        names = [f"past_{kind}_{layer}" for layer in layers for kind in ("key", "value")]
        buffers = steps.machine.maker(1)(stage.sizes.sizes[0])
        for name, buffer in zip(names, buffers, strict=True):
            if name in past:
                _fill(buffer, past[name])
        ids = case.inputs["input_ids"]
        after = before + ids.shape[1]
        where = np.array([before]), np.array([ids.shape[1]])
        made = steps.machine.open(buffers)([ids, *where], after)
        kept = {
            name: each.cpu().numpy() if isinstance(each, Tensor) else each.numpy().copy()
            for name, each in zip(names, buffers, strict=True)
        }
        ports = [port.name for port in stage.outputs]
        return {
            **dict(zip(ports, made, strict=True)),
            **{name: each[:, :, :after, : self.config.head_dim] for name, each in kept.items()},
        }

    @cached_property
    def _every_state(self):
        step, *_ = llm_stages(self.model, self.config, self.tokens)
        size = self.config.hidden_size
        states = ("hidden_0", "hidden_1", "hidden_last")
        return dataclasses.replace(
            step,
            name="every_state",
            module=_EveryState(self.model),
            outputs=(
                Port("logits", "float32", ("B", self.config.vocab_size)),
                *(Port(name, "float32", ("B", "T_new", size)) for name in states),
            ),
        )

    def _do_sampling(self, case: Case) -> Arrays:
        made = {}
        for name, params in case.inputs.items():
            if name == "logits":
                continue
            temperature, top_k, top_p = params.tolist()
            sampling = Sampling(temperature, int(top_k), top_p)
            rows = [probabilities(each, sampling) for each in case.inputs["logits"]]
            made[name.replace("params", "probs")] = np.stack(rows).astype(np.float32)
        return made


class _EveryState(nn.Module):
    def __init__(self, model: Llm) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: Tensor, positions: Tensor, lengths: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        cache = KvCache(carry, positions, lengths, ids.shape[1], self.model.head_dim)
        states = self.model.states(ids, cache)
        logits = nn.functional.linear(last(states[-1], lengths), self.model.embedding.weight)
        return (logits, states[0], states[1], states[-1], *cache.tensors)


def manifest_report(file: str, shapes: Mapping[str, Mapping[str, Any]]) -> tuple[Report, str]:
    """The published language model held against a file."""
    if file != LLM_FILE:
        return Report(file, unexpected=tuple(shapes)), "nothing here reads it"
    config = published_llm()
    return examine_llm(shapes, config, file), f"{config.num_hidden_layers} layers"


def _fill(buffer: Any, array: np.ndarray) -> None:
    size, head_dim = array.shape[2:]
    if isinstance(buffer, Tensor):
        whole = torch.zeros(tuple(buffer.shape))
        whole[:, :, :size, :head_dim] = torch.from_numpy(array)
        buffer.copy_(whole.to(buffer.device))
    else:
        buffer.numpy()[:, :, :size, :head_dim] = array


def _text(array: np.ndarray) -> str:
    return bytes(array.astype(np.uint8)).decode("utf-8")


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64)
