"""The bytes that the engine and its worker processes exchange through two pipes.

The worker imports this and has to start fast: nothing here but `struct`.

To the worker: header (kind, number of the request, length of body), then the body.
    b"S"  speak; b"P"  name the phonemes that would be spoken; b"A"  stop request `number`.
From the worker: the same header.
    b"R"  ready, once after the start; b"C"  a chunk of audio; b"N"  phoneme names;
    b"E"  the request is done; b"F"  it failed, the body says why.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

HEADER = struct.Struct("<cII")  # kind, number, bytes of body
SPEAK, PHONEMES, ABORT = b"S", b"P", b"A"
READY, CHUNK, NAMES, END, FAILED = b"R", b"C", b"N", b"E", b"F"

WordEvent = tuple[int, int, int]  # first character (from 1), characters, sample
Values = tuple[int, int, int, int, int, int]  # rate, volume, pitch, range, word gap, noise seed

_BODY = struct.Struct("<6i?H")  # values, marked, bytes of voice
_COUNT = struct.Struct("<I")
_WORD = struct.Struct("<3i")


def pack_body(values: Values, marked: bool, voice: str, text: str) -> bytes:
    """
    Raises:
        UnicodeEncodeError: the text holds lone surrogates.
    """
    name = voice.encode()
    return _BODY.pack(*values, marked, len(name)) + name + text.encode()


def unpack_body(body: bytes) -> tuple[Values, bool, bytes, bytes]:
    """Values, marked, and voice and text in UTF-8."""
    rate, volume, pitch, pitch_range, word_gap, noise, marked, size = _BODY.unpack_from(body)
    text_at = _BODY.size + size
    values = (rate, volume, pitch, pitch_range, word_gap, noise)
    return values, marked, body[_BODY.size : text_at], body[text_at:]


def pack_chunk(words: Sequence[WordEvent], pcm: bytes) -> bytes:
    """Words that begin in a chunk, and its samples as int16, little-endian."""
    return _COUNT.pack(len(words)) + b"".join(_WORD.pack(*word) for word in words) + pcm


def unpack_chunk(body: bytes) -> tuple[list[WordEvent], bytes]:
    pcm_at = _COUNT.size + _WORD.size * _COUNT.unpack_from(body)[0]
    events = _WORD.iter_unpack(body[_COUNT.size : pcm_at])
    return [(position, length, sample) for position, length, sample in events], body[pcm_at:]


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
