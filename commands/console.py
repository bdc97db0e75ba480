"""What the commands print: errors as one message, tables as aligned columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engines.errors import BadLexicon, BadPreset, InvalidRequest, VivavoceError

FAILURE = 1
BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
BROKEN_PIPE = 141  # 128 + SIGPIPE


def exit_code(error: VivavoceError) -> int:
    """2 where the input is at fault and stays so, 1 where something went wrong."""
    return BAD_INPUT if isinstance(error, InvalidRequest | BadLexicon | BadPreset) else FAILURE


def complain(error: VivavoceError) -> int:
    """Print an error the way a person reads it; returns the exit code."""
    parts = [part for part in (error.given, error.allowed, error.todo) if part]
    print("Error: " + "\n       ".join(parts), file=sys.stderr)
    return exit_code(error)


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, each column as wide as its widest cell."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[number]) for row in table) for number in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def bytes_in_words(count: int | None) -> str:
    return "–" if count is None else f"{count / 1024**3:.1f} GiB"
