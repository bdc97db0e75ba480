"""What the engine and its worker processes say to each other through two pipes.

Standard library only: the worker imports this, and must start fast.

To the worker: header (kind, number, length of body), then the body.
    b"S"  speak; b"P"  name the phonemes that would be spoken; b"A"  stop request `number`.
From the worker: the same header, with `number` the request's.
    b"R"  ready, once after the start; b"C"  a chunk of audio; b"N"  phoneme names;
    b"E"  the request is done; b"F"  it failed, the body says why.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEADER = struct.Struct("<cII")  # kind, number, bytes of body
SPEAK, PHONEMES, ABORT = b"S", b"P", b"A"
READY, CHUNK, NAMES, END, FAILED = b"R", b"C", b"N", b"E", b"F"

WordEvent = tuple[int, int, int]  # first character (from 1), characters, sample

_BODY = struct.Struct("<5iI?H")
_COUNT = struct.Struct("<I")
_WORD = struct.Struct("<3i")


@dataclass(frozen=True)
class Settings:
    """What eSpeak NG's parameters are set to, in its own units."""

    rate: int = 175  # words a minute, 80 to 449: from 450 on the library reports wrong times
    volume: int = 100  # amplitude, 0 to 200
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 to 99
    word_gap: int = 0  # units of 10 ms at the usual rate
    noise: int = 1  # seed of the breath and roughness of a voice


@dataclass(frozen=True)
class Request:
    """One text for the library.

    Attributes:
        voice: path of the voice below the data folder, with `+variant` where there is one.
        text: without control characters, which the library takes for commands.
        marked: does the text hold phonemes in `[[ ]]`?
    """

    kind: bytes
    voice: str
    text: str
    settings: Settings = Settings()
    marked: bool = False

    def pack(self, number: int) -> bytes:
        """
        Raises:
            UnicodeEncodeError: the text holds lone surrogates.
        """
        voice, s = self.voice.encode(), self.settings
        numbers = (s.rate, s.volume, s.pitch, s.pitch_range, s.word_gap, s.noise)
        body = _BODY.pack(*numbers, self.marked, len(voice)) + voice + self.text.encode()
        return HEADER.pack(self.kind, number, len(body)) + body

    @classmethod
    def unpack(cls, kind: bytes, body: bytes) -> Request:
        *numbers, marked, voice_size = _BODY.unpack_from(body)
        text_at = _BODY.size + voice_size
        voice, text = body[_BODY.size : text_at].decode(), body[text_at:].decode()
        return cls(kind, voice, text, Settings(*numbers), marked)


def pack_chunk(words: Sequence[WordEvent], pcm: bytes) -> bytes:
    """Words that begin in a chunk, and its samples as int16, little-endian."""
    return _COUNT.pack(len(words)) + b"".join(_WORD.pack(*word) for word in words) + pcm


def unpack_chunk(body: bytes) -> tuple[list[WordEvent], bytes]:
    pcm_at = _COUNT.size + _WORD.size * _COUNT.unpack_from(body)[0]
    words = [
        (at, size, sample) for at, size, sample in _WORD.iter_unpack(body[_COUNT.size : pcm_at])
    ]
    return words, body[pcm_at:]


def read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """
    Raises:
        EOFError: the other side has gone.
    """
    data = b""
    while len(data) < size:
        piece = read(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
