"""One XTTS release on a device: clips to a voice, sentences to sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from engines.api import CancelToken, Capability, EngineContext, Reference
from engines.coqui.xtts import conditioning, loading, sound, synthesis
from engines.coqui.xtts.checkpoint import Speaker, load_speakers
from engines.coqui.xtts.config import XttsConfig, read_config
from engines.coqui.xtts.stages import buckets
from engines.coqui.xtts.text import Encoded, Tokenizer
from engines.decode import Sampler, Sampling
from engines.memory import Lease
from engines.memory.resident import Resident
from engines.runtime.residents import BoundStages, resident
from engines.runtime.support import open_runtime

DTYPE = "float32"


@dataclass(frozen=True)
class How:
    """Attributes: `sampling` chooses the codes; `speed` 2 is twice as fast."""

    sampling: Sampling
    speed: float = 1.0


class XttsRelease:
    """
    Args:
        folder: with the files that are published.
        name: by which its weights are held; another one for other weights.
        capability: of the engine, whose devices these stages run on.

    Raises:
        BadCheckpoint: its configuration is missing, damaged or of another model.
    """

    def __init__(
        self, folder: Path, name: str, capability: Capability, context: EngineContext
    ) -> None:
        self.folder = folder
        self._name = name
        self.config: XttsConfig = read_config(folder)
        self._capability, self._context = capability, context

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer(self.folder)

    @cached_property
    def speakers(self) -> dict[str, Speaker]:
        """The voices that come with it, by name."""
        return load_speakers(self.folder)

    def listen(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> Speaker:
        """
        Raises:
            BadReference: the clips are too short or silent.
        """
        # clips are few and of any length: no graphs are compiled for them
        device = "cpu" if device.startswith("xla") else device
        with self._lease(loading.LISTENING_STAGES, device, cancel) as bound:
            return conditioning.listen(bound, references, self.config, cancel)

    def encode(self, text: str, language: str) -> Encoded:
        """
        Raises:
            BadText: it is too long.
            MissingDependency: a package that spells the language is not here.
        """
        most = self.config.model_args.gpt_max_text_tokens
        return self.tokenizer.encode(text, language, most=most)

    def say(
        self,
        encoded: Encoded,
        speaker: Speaker,
        how: How,
        *,
        device: str,
        seed: int,
        name: str,
        cancel: CancelToken,
    ) -> Iterator[np.ndarray]:
        """Sound as it is made, float32 [T] at `config.sample_rate`.

        Args:
            name: of the noise: another for each sentence.
        """
        key = self._key(loading.SPEAKING_STAGES, device)
        memory = self._context.memory
        with (
            self._lease(loading.SPEAKING_STAGES, device, cancel) as bound,
            bound["gpt"].start(memory, key, cancel=cancel) as sequences,
        ):
            before = synthesis.heard_before(self.config)
            sampler = Sampler(how.sampling, f"{seed} {name}", before=before)
            latents = synthesis.latents(
                sequences, encoded.ids, speaker, sampler, self.config, cancel
            )
            yield from sound.stream(bound["decoder"], latents, speaker, self.config, how.speed)

    def _key(self, names: Sequence[str], device: str) -> str:
        return f"xtts {self._name}: {' and '.join(names)} on {device}"

    def _lease(
        self, names: tuple[str, ...], device: str, cancel: CancelToken
    ) -> Lease[BoundStages]:
        def describe() -> Resident[BoundStages]:
            runtime = open_runtime(
                self._capability,
                device,
                buckets=buckets(self.config),
                cache=self._context.cache_dir,
                dtype=DTYPE,
            )
            if device.startswith("onnx"):
                nbytes = loading.onnx_bytes(self.folder, names)
                return resident(
                    runtime, nbytes, lambda _: loading.from_onnx(self.folder, self.config, names)
                )
            nbytes = loading.weight_bytes(self.folder)
            if names == loading.LISTENING_STAGES:
                return resident(
                    runtime,
                    nbytes // 8,
                    lambda _: loading.listening_from_weights(self.folder, self.config),
                )
            return resident(
                runtime,
                nbytes,
                lambda _: loading.speaking_from_weights(
                    self.folder, self.config, compiles=device.startswith("xla")
                ),
            )

        return self._context.memory.acquire(self._key(names, device), describe, cancel=cancel)
