"""What an engine is: the types that pass between the front doors, the studio and the engines.

Shapes: T samples of one chunk. Times are in seconds, audio is mono float32 in [-1, 1].
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from engines.errors import Cancelled, DeadlineExceeded, VivavoceError

if TYPE_CHECKING:
    from engines.memory import MemoryManager

SupportStatus = Literal["supported", "untested", "refused"]


class Controls(BaseModel):
    """Base of an engine's controls. One field, with type, range, default and help, is all that a
    new control needs: UI, HTTP and CLI are generated from it (`engines.controls`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Support:
    """One row of the table engine × runtime × dtype."""

    runtime: str  # "cpu", "cuda", "mps", "xla", "onnx", "onnx:cuda" …: DeviceSpec.runtime
    dtype: str  # "native" where an engine has no tensors
    status: SupportStatus
    note: str = ""


@dataclass(frozen=True, slots=True)
class Capability:
    """What an engine declares about itself; readable without loading a model."""

    name: str
    title: str
    summary: str
    sample_rate: int  # Hz; of most of its voices
    licence: str
    support: tuple[Support, ...]
    clones: bool = False
    approximates: bool = False  # clones by taking the nearest of its own voices
    converts: bool = False  # says clips in other voices
    word_times: bool = False
    uses_seed: bool = False
    phonemes: Literal["none", "ipa"] = "none"  # does it take IPA for single words?
    reads_numbers: bool = False  # its own front end reads numbers in languages ours lacks
    max_chars: int = 400  # longer sentences are split at clause marks

    def runtimes(self) -> tuple[str, ...]:
        """Runtimes that may be asked for, best first."""
        return tuple(dict.fromkeys(s.runtime for s in self.support if s.status != "refused"))


@dataclass(frozen=True, slots=True)
class Reference:
    """A clip of the person whose voice is to be cloned, checked and cleaned.

    Attributes:
        samples: float32 [T], mono, in [-1, 1].
        sample_rate: Hz.
        transcript: what is said in it; "" where nobody wrote it down.
        language: BCP 47; "" where unknown.
        sha256: hash of its file, by which what was computed from it is kept.
    """

    samples: np.ndarray
    sample_rate: int
    transcript: str = ""
    language: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of one engine. `id` is unique within the engine and safe in a URL path.

    Attributes:
        reference: id of the voice profile that it was cloned from; "" where it was not.
        sample_rate: Hz; 0 where it is the engine's.
        conditioning: what the engine's `condition` gave for that profile.
    """

    id: str
    name: str
    engine: str
    languages: tuple[str, ...]  # BCP 47, preferred first; () where it speaks any
    gender: Literal["female", "male", ""] = ""
    tags: tuple[str, ...] = ()
    reference: str = ""
    sample_rate: int = 0
    conditioning: Mapping[str, np.ndarray] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Converter:
    """A model that says a clip in another voice. `id` is unique within the engine."""

    id: str
    name: str
    engine: str
    sample_rate: int  # Hz of what it gives
    runtimes: tuple[str, ...]  # of those that the engine declares


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a sentence: what the user wrote, what is spoken instead, and how.

    `source` and `spoken` differ where a number was put into words or the lexicon respelled a word;
    `ipa` is set where the lexicon gives a pronunciation and the engine takes phonemes.
    """

    source: str
    spoken: str
    ipa: str | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence (or clause of an over-long one), ready to be spoken.

    Attributes:
        spans: their `spoken` texts joined without a separator are the spoken sentence.
        language: BCP 47.
        pause_after: seconds of silence that follow by the rules of punctuation or by `[pause]`.
        index: number of the sentence in the text, from 0.
        start: offset of the sentence in the given text, in characters.
        joined: True where it continues the sentence before it (a clause of an over-long one).
    """

    spans: tuple[Span, ...]
    language: str
    pause_after: float = 0.0
    index: int = 0
    start: int = 0
    joined: bool = False

    @property
    def source(self) -> str:
        return "".join(span.source for span in self.spans)

    @property
    def spoken(self) -> str:
        return "".join(span.spoken for span in self.spans)


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word sounds.

    `start` and `end` are seconds from the first sample of the utterance; `position` and `length`
    are characters of `Utterance.spoken`.
    """

    start: float
    end: float
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of sound as it leaves an engine.

    Attributes:
        samples: float32 [T], mono, in [-1, 1].
        sample_rate: Hz.
        words: words that end in this chunk, times counted from the start of the utterance.
        notes: what a user should know but what stops nothing, such as signs left unspoken.
        made_voice: id by which the voice can be asked for again, where the engine made it up for
            this text; the notes of the chunk say so in words.
    """

    samples: np.ndarray
    sample_rate: int
    words: tuple[WordTime, ...] = ()
    notes: tuple[str, ...] = ()
    made_voice: str = ""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What every front door hands to the studio. Values are as given; the studio checks them.

    Attributes:
        text: plain text, may hold `[pause 0.5s]`.
        engine: a name of the registry; None takes the default.
        voice: a voice id of the engine, or a starter voice of `presets/`; None takes the default.
        language: BCP 47; None takes the voice's.
        device: what `engines.runtime.device.parse` takes; None takes the studio's default.
        controls: the engine's controls by name; an absent one takes its default.
        seed: any integer from 0 to 2**32 - 1; None draws one, which the job reports.
        preset: an engine preset of `presets/`; its values stand below `controls`.
        deadline: seconds from submission until the job is given up; None takes the studio's limit.
        owner: whose request it is; decides which voices it may use and who sees it in the history.
        door: where it came in: "page", "http", "wyoming" …
    """

    text: str
    engine: str | None = None
    voice: str | None = None
    language: str | None = None
    device: str | None = None
    controls: Mapping[str, object] = field(default_factory=dict)
    seed: int | None = None
    preset: str | None = None
    deadline: float | None = None
    owner: str = ""
    door: str = ""


class CancelToken:
    """Set from any thread or by its deadline; looked at by whoever works, between chunks.

    Args:
        deadline: seconds from now after which the token counts as set; None for never.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self._event = threading.Event()
        self._reason: Exception = Cancelled()
        self._seconds = deadline
        self._expires = None if deadline is None else time.monotonic() + deadline

    def cancel(self, reason: Exception | None = None) -> None:
        """Set the token; the first reason given stays."""
        if not self._event.is_set():
            self._reason = reason or self._reason
            self._event.set()

    @property
    def is_set(self) -> bool:
        if self._expires is not None and time.monotonic() >= self._expires:
            self.cancel(
                DeadlineExceeded(
                    f"The speech was not finished within {self._seconds:g} s.",
                    "",
                    "Send a shorter text or allow more time (`deadline`).",
                )
            )
        return self._event.is_set()

    def raise_if_set(self) -> None:
        if self.is_set:
            raise self._reason

    def __reduce__(self) -> tuple[type[CancelToken], tuple[float | None]]:
        """A copy for another process keeps the deadline; whoever sent it cancels by leaving."""
        left = None if self._expires is None else max(0.0, self._expires - time.monotonic())
        return CancelToken, (left,)


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine may use of the house."""

    models_dir: Path
    cache_dir: Path
    memory: MemoryManager


class Engine(Protocol):
    """A speech engine. Its module imports no torch at the top; a model is loaded in `speak`,
    through `context.memory`. Every method may be called from several threads at once.

    An engine whose voices do not all have all of its controls also has `controls_of(voice_id)`,
    which gives the names of those that a voice has; the page shows these alone."""

    capability: ClassVar[Capability]
    controls: ClassVar[type[Controls]]

    def __init__(self, context: EngineContext) -> None: ...

    def voices(self) -> Sequence[Voice]:
        """Installed voices, the default first."""
        ...

    def voice(self, voice_id: str) -> Voice:
        """The voice of that id, which need not be in the list (a variant of one that is).

        Raises:
            UnknownVoice: there is none; `engines.voices.unknown_voice` makes the message.
        """
        ...

    def speak(
        self,
        utterance: Utterance,
        voice: Voice,
        controls: Controls,
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """Speak one utterance, chunk by chunk as it is made.

        Args:
            device: a canonical device name (`DeviceSpec.name`) that the engine supports.
            cancel: looked at at least once a chunk; when set the iterator raises its reason.

        Raises:
            VivavoceError: any subclass; whatever else escapes is reported as EngineFailure.
        """
        ...

    def close(self) -> None: ...


class Shelf(Protocol):
    """What finds an engine's models among the folders of the models directory."""

    def __init__(self, root: Path) -> None: ...

    def faults(self) -> Mapping[Path, VivavoceError]:
        """Why models cannot be used, by folder; cheap enough to ask every second."""
        ...


class ShelvedEngine(Engine, Protocol):
    """An engine whose models lie in folders, and that can say of a folder why it does not do."""

    shelf: ClassVar[type[Shelf]]


class CloningEngine(Engine, Protocol):
    """An engine whose capability says that it clones.

    One that has models some of which do, or none at all, says by a method `can_clone` whether one
    is here that does; without it, it always can.

    Attributes:
        conditioning_version: changes when `condition` gives something else for the same clip.
    """

    conditioning_version: ClassVar[str]

    def condition(
        self, references: Sequence[Reference], *, device: str, cancel: CancelToken
    ) -> Mapping[str, np.ndarray]:
        """What `speak` needs of a person's voice, by name. It is kept on disk, so one clip is
        looked at once; `speak` gets it as `Voice.conditioning`.

        Raises:
            BadReference: the clips do not do for this engine.
        """
        ...


class ConvertingEngine(Engine, Protocol):
    """An engine whose capability says that it converts."""

    def converters(self) -> Sequence[Converter]:
        """Installed models that do it, the default first."""
        ...

    def convert(
        self,
        converter: str,
        source: Reference,
        target: Sequence[Reference],
        *,
        device: str,
        seed: int,
        cancel: CancelToken,
    ) -> Iterator[AudioChunk]:
        """Say what is said in one clip in the voice of others.

        Args:
            converter: id of one of `converters`.

        Raises:
            UnknownVoice: there is none of that id.
            BadReference: a clip does not do for it.
        """
        ...
