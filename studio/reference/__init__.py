"""Reference clips: from whatever file a person has to clean speech that an engine can copy."""

from __future__ import annotations

from studio.reference.decode import SAMPLE_RATE, Clip, Limits, decode
from studio.reference.prepare import Prepared, compare_voices, prepare, prepare_clip, to_wav
from studio.reference.report import Finding, Report
from studio.reference.waveform import waveform_svg

__all__ = [
    "SAMPLE_RATE",
    "Clip",
    "Finding",
    "Limits",
    "Prepared",
    "Report",
    "compare_voices",
    "decode",
    "prepare",
    "prepare_clip",
    "to_wav",
    "waveform_svg",
]
