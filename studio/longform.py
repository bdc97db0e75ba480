"""A text of any length, sentence by sentence: front end → engine → delivery → listener."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from engines.api import Engine, Utterance, Voice
from engines.text import Lexicon, utterances
from studio import spaces
from studio.delivery import DeliverySettings, Master
from studio.jobs import Job, Note, Plan, SentenceDone, SentenceStarted, Sound

NOTES_SHOWN = 20  # of an engine's, for one text
UNHEARD_SHOWN = 10  # words with IPA in the lexicon that one note names


def speak(
    job: Job, engine: Engine, voice: Voice, lexicon: Lexicon, delivery: DeliverySettings
) -> None:
    """Speak a job's text and emit its events. One sentence is held at a time.

    Args:
        voice: the plan's, with its conditioning where it is a cloned one.

    Raises:
        VivavoceError: the job was cancelled or ran out of time, or the engine failed.
    """
    plan = job.plan
    for message in (*plan.notes, *_unheard(plan, engine, lexicon)):
        job.emit(Note(message))
    master = Master(plan.sample_rate, delivery)
    told: set[str] = set()
    index = 0
    for utterance in utterances(
        plan.text, plan.language, lexicon=lexicon, capability=engine.capability
    ):
        index = utterance.index
        job.cancel_token.raise_if_set()
        job.emit(SentenceStarted(utterance))
        for samples in _utterance_sound(job, engine, voice, master, utterance, told):
            _emit_sound(job, samples, index)
        samples, timing = master.end()
        _emit_sound(job, samples, index)
        job.emit(SentenceDone(timing))
        job.characters_done = utterance.start + len(utterance.source)
    _emit_sound(job, master.finish(), index)


def _unheard(plan: Plan, engine: Engine, lexicon: Lexicon) -> Iterator[str]:
    words = lexicon.unheard(plan.text, plan.language, engine.capability)
    if words:
        yield (
            f"{engine.capability.title} takes no phonemes, so it reads as they are written: "
            f"{', '.join(words[:UNHEARD_SHOWN])}."
        )


def _utterance_sound(
    job: Job,
    engine: Engine,
    voice: Voice,
    master: Master,
    utterance: Utterance,
    told: set[str],
) -> Iterator[np.ndarray]:
    yield master.begin(utterance)
    if not utterance.spoken.strip():  # a pause, or marks such as * * * that nobody reads out
        return
    plan = job.plan
    chunks = spaces.speak(
        engine,
        utterance,
        voice,
        plan.controls,
        device=plan.device,
        seed=plan.seed,
        cancel=job.cancel_token,
    )
    # a cancelled job must not leave the engine at work until the garbage is collected
    with contextlib.closing(chunks):  # type: ignore[type-var]
        for chunk in chunks:
            job.cancel_token.raise_if_set()
            job.made_voice = chunk.made_voice or job.made_voice
            for note in chunk.notes:
                # once, however many sentences it concerns
                if note not in told and len(told) < NOTES_SHOWN:
                    told.add(note)
                    job.emit(Note(note, chunk.made_voice))
            yield master.push(chunk)


def _emit_sound(job: Job, samples: np.ndarray, sentence: int) -> None:
    if samples.size:
        job.seconds_made += samples.size / job.sample_rate
        job.emit(Sound(samples, sentence))
