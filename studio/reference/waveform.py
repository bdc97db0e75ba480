"""The waveform of a clip as SVG, with the part that is kept marked.

Colours are variables of the page's style sheet with a fallback each, so that dark and light need no
second drawing: --vv-wave-kept, --vv-wave-dropped, --vv-wave-band.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from studio.reference.prepare import Prepared

HEIGHT = 96
LEAST = 1.0  # pixels of a column, so that silence is seen as a line
KEPT = "stroke: var(--vv-wave-kept, #4f46e5)"
DROPPED = "stroke: var(--vv-wave-dropped, #9ca3af)"
BAND = "fill: var(--vv-wave-band, #eef2ff)"


def waveform_svg(prepared: Prepared) -> str:
    """An `<svg>` that stretches to the width of what it stands in; it describes itself in words."""
    peaks = prepared.original_peaks
    scale = float(np.abs(peaks).max()) or 1.0
    whole = prepared.original.seconds
    columns = len(peaks)
    middles = (np.arange(columns) + 0.5) * whole / columns
    kept = np.zeros(columns, bool)
    bands = []
    for start, end in prepared.kept:
        kept |= (middles >= start) & (middles <= end)
        left, width = start / whole * columns, (end - start) / whole * columns
        bands.append(f"<rect x='{left:.1f}' y='0' width='{width:.1f}' height='{HEIGHT}'/>")
    numbers = np.arange(columns)
    label = escape(_in_words(prepared))
    return (
        f"<svg class='vv-waveform' role='img' aria-label='{label}' "
        f"viewBox='0 0 {columns} {HEIGHT}' preserveAspectRatio='none' "
        f"xmlns='http://www.w3.org/2000/svg'><title>{label}</title>"
        f"<g style='{BAND}'>{''.join(bands)}</g>"
        f"<path style='{DROPPED}' d='{_lines(numbers[~kept], peaks, scale)}'/>"
        f"<path style='{KEPT}' d='{_lines(numbers[kept], peaks, scale)}'/></svg>"
    )


def _lines(numbers: Iterable[int], peaks: np.ndarray, scale: float) -> str:
    """One vertical line a column."""
    middle = HEIGHT / 2
    parts = []
    for number in numbers:
        least, greatest = peaks[number] / scale
        top, bottom = middle - greatest * middle, middle - least * middle
        if bottom - top < LEAST:
            top, bottom = middle - LEAST / 2, middle + LEAST / 2
        parts.append(f"M{number + 0.5:.1f} {top:.1f}V{bottom:.1f}")
    return "".join(parts)


def _in_words(prepared: Prepared) -> str:
    whole, kept = prepared.original.seconds, prepared.kept
    words = f"Waveform of {whole:.1f} s, of which {prepared.seconds:.1f} s are kept"
    if len(kept) == 1:
        return f"{words}: from {kept[0][0]:.1f} to {kept[0][1]:.1f} s"
    return f"{words}, in {len(kept)} pieces"
