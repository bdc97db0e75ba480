"""What a clip is worth, in plain words: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from studio.reference.clean import LONGEST_KEPT

Severity = Literal["good", "warning", "bad"]

TOO_SHORT, SHORT, BEST_FROM, BEST_TO = 1.0, 3.0, 6.0, 30.0  # seconds of speech
CLIPPED, RUINED = 0.001, 0.05  # share of samples cut off at the top
NOISY, DROWNED = 20.0, 6.0  # dB of speech above the background
QUIET = -45.0  # dBFS of speech
MUSIC = 0.1  # share of the time in which notes are held
ONE_SPEAKER = 0.75  # likeness; one speaker's passages stay above
TELEPHONE = -40.0  # dB that the band above a telephone's has, against its own


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a clip.

    Attributes:
        about: "length", "noise", "level", "clipping", "music", "speakers", "telephone", "damage".
        severity: "bad" where the clip cannot be used for it.
        text: what is the case. advice: what to do; "" where nothing is.
    """

    about: str
    severity: Severity
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures that a report is made from.

    Attributes:
        seconds: of the clip. speech_seconds: in which somebody speaks. kept_seconds: that stay.
        level, noise_floor: dBFS of speech and of what is between it.
        denoised: dB of speech above the background once noise was reduced; None where it was not.
        upper_band: dB, see `measure.upper_band`. music: see `measure.music_share`.
    """

    seconds: float
    speech_seconds: float
    kept_seconds: float
    level: float
    noise_floor: float
    denoised: float | None
    clipped_share: float
    damaged: bool
    upper_band: float
    music: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a clip, the gravest first.

    Attributes:
        seconds: of the clip. kept_seconds: of what stays of it.
        level: dBFS of the speech as it was recorded.
        noise_floor: dBFS of what is between it.
        clipped_share: of samples cut off at the top, 0 to 1.
    """

    seconds: float
    kept_seconds: float
    level: float
    noise_floor: float
    clipped_share: float
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        return all(finding.severity != "bad" for finding in self.findings)

    def and_speakers(self, likeness: float) -> Report:
        """With what is to be said of how alike the most different passages are."""
        if likeness >= ONE_SPEAKER:
            return self
        finding = Finding(
            "speakers",
            "warning",
            "It sounds as if more than one person speaks.",
            "Cut out the others: a voice is made from one person.",
        )
        return replace(self, findings=_sorted((*self.findings, finding)))


def report(measures: Measures) -> Report:
    return Report(
        measures.seconds,
        measures.kept_seconds,
        measures.level,
        measures.noise_floor,
        measures.clipped_share,
        _sorted(_findings(measures)),
    )


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = ("bad", "warning", "good")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _findings(of: Measures) -> Iterator[Finding]:
    yield _length(of)
    yield _noise(of.level - of.noise_floor, of.denoised)
    if of.damaged:
        yield Finding(
            "damage",
            "warning",
            f"The file is damaged or breaks off: {of.seconds:.1f} s of it could be read.",
            "If something is missing, copy or export it again.",
        )
    if of.clipped_share > CLIPPED:
        yield Finding(
            "clipping",
            "bad" if of.clipped_share > RUINED else "warning",
            "Loud passages are cut off (clipped), which sounds harsh.",
            "Record again with the microphone turned down or further away.",
        )
    if of.level < QUIET:
        yield Finding(
            "level",
            "warning",
            f"The recording is very quiet ({of.level:.0f} dBFS). It is made louder, and its "
            "background with it.",
            "Speak closer to the microphone or turn it up.",
        )
    if of.music > MUSIC:
        yield Finding(
            "music",
            "warning",
            "It sounds as if music plays.",
            "Music would become part of the voice. Take a passage without it.",
        )
    if of.upper_band < TELEPHONE:
        yield Finding(
            "telephone",
            "warning",
            "High tones are missing, as on a telephone.",
            "The voice will sound muffled too. Take a recording from a microphone.",
        )


def _length(of: Measures) -> Finding:
    chosen = of.speech_seconds > LONGEST_KEPT  # of more than is kept
    speech = f"{of.speech_seconds if chosen else of.kept_seconds:.1f} s of speech"
    if of.kept_seconds < TOO_SHORT:
        text = f"Too short: {speech}."
        return Finding("length", "bad", text, f"{BEST_FROM:.0f} to {BEST_TO:.0f} s are best.")
    if of.kept_seconds < SHORT:
        text = f"Short: {speech}."
        advice = f"It will do, but {BEST_FROM:.0f} to {BEST_TO:.0f} s give a steadier voice."
        return Finding("length", "warning", text, advice)
    if chosen:
        text = f"Long: {speech}, of which the plainest {of.kept_seconds:.0f} s are kept."
        advice = "Choose a passage yourself if you want another one."
        return Finding("length", "warning", text, advice)
    if of.kept_seconds < BEST_FROM:
        advice = f"{BEST_FROM:.0f} to {BEST_TO:.0f} s are even better."
        return Finding("length", "good", f"{speech[0].upper()}{speech[1:]}.", advice)
    if of.kept_seconds > BEST_TO:
        return Finding("length", "good", f"{speech}, more than enough.")
    return Finding("length", "good", f"{speech}, a good length.")


def _noise(above: float, denoised: float | None) -> Finding:
    if denoised is not None and above < NOISY and denoised > above:
        now = f"The background was loud; the voice is now {denoised:.0f} dB above it."
        if above < DROWNED:
            return Finding(
                "noise",
                "warning",
                now,
                "The voice may have suffered. Record in a quieter room if you can.",
            )
        return Finding(
            "noise",
            "good" if denoised >= NOISY else "warning",
            now,
            "Listen whether the voice still sounds natural.",
        )
    if above < DROWNED:
        return Finding(
            "noise",
            "bad",
            "The background is nearly as loud as the voice.",
            "Record in a quiet room, close to the microphone.",
        )
    if above < NOISY:
        return Finding(
            "noise",
            "warning",
            f"The background is loud: the voice is {above:.0f} dB above it.",
            "Let the noise be reduced, or record in a quieter room.",
        )
    return Finding("noise", "good", "The background is quiet.")
