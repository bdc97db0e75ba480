"""Text to IPA by eSpeak NG, as models were trained that had it through the package phonemizer.

The library is under the GPL and not re-entrant: it lives in a process of its own, which also
contains its crashes. Signs of punctuation never reach it: they are kept where they stand.
"""

from __future__ import annotations

import contextlib
import logging
import re
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engines.errors import EngineFailure, MissingDependency

log = logging.getLogger("vivavoce.g2p")

PATIENCE = 20.0  # seconds for one piece of text, or for the start
PUNCTUATION = ';:,.!?¡¿—…"«»“”(){}[]'  # phonemizer's

# Run by its path, isolated and without site-packages: quick to start.
_WORKER = Path(__file__).with_name("espeak_worker.py")
_MARKS = re.compile(rf"(\s*[{re.escape(PUNCTUATION)}]+\s*)+")
_SIZE = struct.Struct("<I")


class Piece(NamedTuple):
    """
    Attributes:
        sounds: phonemes with "_" between them, words with a space, stress marks kept; or the signs
            themselves, with the space around them.
        start: of the piece in the text.
        source: the piece of text.
    """

    sounds: str
    is_punctuation: bool
    start: int
    source: str


def pieces(text: str, language: str) -> Iterator[Piece]:
    """What stands between signs of punctuation, and these.

    Args:
        language: one of eSpeak NG's, such as "en-us".

    Raises:
        MissingDependency: the library is not installed, or lacks the language.
        EngineFailure: it crashed or hung.
    """
    end = 0
    for found in _MARKS.finditer(text):
        yield from _spoken(text, end, found.start(), language)
        yield Piece(found[0], True, found.start(), found[0])
        end = found.end()
    yield from _spoken(text, end, len(text), language)


def _spoken(text: str, start: int, end: int, language: str) -> Iterator[Piece]:
    source = text[start:end]
    if source.strip():
        said = " ".join(_ask(language, source.strip()).split())
        sounds = re.sub("_+", "_", said).replace("_ ", " ").strip("_")
        yield Piece(sounds, False, start, source)


def _ask(language: str, text: str) -> str:
    with _lock:
        for last_try in (False, True):
            process = _processes.pop(language, None) or _Process(language)
            try:
                said = process.ask(text)
            except (OSError, EOFError, TimeoutError) as error:
                process.close()
                if last_try:
                    raise EngineFailure(
                        f"eSpeak NG's process ended at the text {text!r:.80} ({error}).",
                        "Other texts are not affected.",
                        "Change the text.",
                    ) from error
            else:
                _processes[language] = process
                return said
    raise AssertionError("one of both tries gives something")


class _Process:
    """One process, one language.

    Raises:
        MissingDependency: as `pieces`.
    """

    def __init__(self, language: str) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise MissingDependency(
                "This model was trained with phonemes of eSpeak NG, which is not installed.",
                "",
                "Install it: pip install espeakng-loader",
            ) from None
        data = Path(espeakng_loader.get_data_path())
        places = espeakng_loader.get_library_path(), str(data.parent), data.name
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_WORKER), *places, language],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        try:
            fault = self._answer()
        except (EOFError, TimeoutError) as error:
            self.close()
            raise EngineFailure(f"eSpeak NG's process does not start ({error}).", "", "") from error
        if fault:
            self.close()
            raise MissingDependency(fault, "", "Pick another release.")
        log.info("started eSpeak NG's process %d for %s", self._process.pid, language)

    def ask(self, text: str) -> str:
        data = text.replace("\0", "").encode("utf-8", "ignore")
        assert self._process.stdin is not None
        self._process.stdin.write(_SIZE.pack(len(data)) + data)
        return self._answer()

    def close(self) -> None:
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=PATIENCE)

    def _answer(self) -> str:
        (size,) = _SIZE.unpack(self._read(_SIZE.size))
        return self._read(size).decode("utf-8", "replace")

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = b""
        while len(data) < size:
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError(f"no answer for {PATIENCE:g} s")
            piece = self._process.stdout.read(size - len(data))
            if not piece:
                raise EOFError("it has gone")
            data += piece
        return data


_lock = threading.Lock()
_processes: dict[str, _Process] = {}  # idle ones, by language
