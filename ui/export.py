"""Files of a take for download: sound in any format, captions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from gradio.utils import get_upload_folder

from engines.errors import StorageError, UnknownFormat
from studio.captions import to_srt, to_vtt
from studio.encode import Format, Tags, encode_file, format_named
from studio.jobs import SentenceTiming
from studio.take import Take

CAPTIONS: dict[str, Callable[[Sequence[SentenceTiming]], str]] = {"srt": to_srt, "vtt": to_vtt}
NAME_WORDS = 6


def write(take: Take, what: str, format_name: str) -> Path:
    """Write a file into the folder from which Gradio serves downloads.

    Args:
        what: "sound", "srt" or "vtt". format_name: for sound, a name of `studio.encode.FORMATS`.

    Raises:
        UnknownFormat: there is none of that name.
        StorageError: the disk is full.
    """
    text = take.sentence(0).text if len(take) else ""
    tags = Tags(text, take.made_with["engine"], take.made_with["voice"])

    def encode(path: Path, chosen: Format) -> None:
        encode_file(path, chosen, take.sample_rate, take.blocks(), tags)

    return write_file(text, what, format_name, encode, lambda: take.timings)


def write_file(
    text: str,
    what: str,
    format_name: str,
    encode: Callable[[Path, Format], None],
    timings: Callable[[], Sequence[SentenceTiming]],
) -> Path:
    """The same for whatever has sound and sentences; named after the beginning of its text."""
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    name = _file_name(text)
    if what == "sound":
        chosen = format_named(format_name)
        path = folder / f"{name}.{chosen.extension}"
        _make(folder)
        encode(path, chosen)
        return path
    if what not in CAPTIONS:
        raise UnknownFormat(
            f"There are no captions {what!r:.40}.", f"There are {', '.join(CAPTIONS)}."
        )
    path = folder / f"{name}.{what}"
    _make(folder)
    try:
        path.write_text(CAPTIONS[what](timings()), "utf-8")
    except OSError as error:
        raise _not_written(path, error) from error
    return path


def _file_name(text: str) -> str:
    """The first words of a text, in any script, as a file's name."""
    words = re.findall(r"\w+", text)[:NAME_WORDS]
    return "-".join(words).lower()[:60] or "vivavoce"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _not_written(folder, error) from error


def _not_written(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path.name} could not be written ({error.strerror}).",
        "",
        "Free some space and try again.",
    )
