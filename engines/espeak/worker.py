"""The process that owns eSpeak NG's library. Started by `pool`, never imported by the engine.

The library keeps state: its vibrato goes on from text to text, and settings of one voice leak into
the next. So that the same request always gives the same samples, every text is spoken by a process
that has spoken nothing before:

    worker         library loaded, no voice set
    └ voice        one voice set; made anew when another is asked for
      └ speaker    speaks one text and ends

A speaker that crashes takes the three down with it, which the engine notices as the end of the
pipe. All three end when their standard input or output closes.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Callable
from functools import partial

from engines.espeak import protocol
from engines.espeak.library import Library
from engines.espeak.protocol import HEADER, Request, WordEvent, read_exactly

CPU_SECONDS = 60.0  # of one speaker between two chunks; a hung one must not outlive the program

_Numbered = tuple[int, Request]

_input = select.poll()
_input.register(0, select.POLLIN)


def main(library: str, data: str) -> None:
    try:
        loaded = Library(library, data)
    except OSError as error:
        _reply(protocol.FAILED, 0, str(error).encode())
        return
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at
    _reply(protocol.READY, 0)
    numbered = _next_request()
    while numbered is not None:
        numbered = _hand_to_voice(loaded, numbered)


def _hand_to_voice(library: Library, numbered: _Numbered) -> _Numbered | None:
    """Let a child speak with the voice of this request; returns the next request for another."""
    receiving, sending = os.pipe()

    def child() -> None:
        os.close(receiving)
        after = _speak_with_one_voice(library, numbered)
        with os.fdopen(sending, "wb") as pipe:
            if after is not None:
                pipe.write(after[1].pack(after[0]))

    process = _fork(child)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        packed = pipe.read()
    _wait(process)
    if not packed:
        return None
    kind, number, _ = HEADER.unpack_from(packed)
    return number, Request.unpack(kind, packed[HEADER.size :])


def _speak_with_one_voice(library: Library, numbered: _Numbered) -> _Numbered | None:
    voice = numbered[1].voice
    library.set_voice(voice)
    following: _Numbered | None = numbered
    while following is not None and following[1].voice == voice:
        number, request = following
        # All that can be done before the fork is: each page that a child writes to is copied.
        naming = request.kind == protocol.PHONEMES
        library.prepare(request.settings, naming)
        text = request.text.encode() + b"\0"
        speak = _name_phonemes if naming else _speak
        _wait(_fork(partial(speak, library, number, text, request.marked)))
        following = _next_request()
    return following


def _speak(library: Library, number: int, text: bytes, marked: bool) -> None:
    def send(pcm: bytes, words: list[WordEvent], _: list[str]) -> bool:
        if pcm or words:
            _reply(protocol.CHUNK, number, protocol.pack_chunk(words, pcm))
        return _stopped(number)

    _allow_cpu_time()
    _finish(number, library.speak(text, marked, send))


def _name_phonemes(library: Library, number: int, text: bytes, marked: bool) -> None:
    said: list[str] = []

    def collect(_: bytes, __: list[WordEvent], names: list[str]) -> bool:
        said.extend(names)
        return _stopped(number)

    _allow_cpu_time()
    status = library.speak(text, marked, collect)
    _reply(protocol.NAMES, number, "\n".join(said).encode())
    _finish(number, status)


def _finish(number: int, status: int) -> None:
    if status == 0:
        _reply(protocol.END, number)
    else:
        _reply(protocol.FAILED, number, f"eSpeak NG's status was {status:#x}".encode())


def _next_request() -> _Numbered | None:
    """The next text to speak; None when the engine has gone. What stops a request that is already
    done is passed over."""
    while True:
        try:
            kind, number, size = HEADER.unpack(_read(HEADER.size))
            body = _read(size)
        except EOFError:
            return None
        if kind != protocol.ABORT:
            return number, Request.unpack(kind, body)


def _allow_cpu_time() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)  # its signal ends the process


def _stopped(number: int) -> bool:
    """Has the engine asked for an end of this request?"""
    _allow_cpu_time()
    if not _input.poll(0):
        return False
    try:
        # while a request runs nothing but an abort is sent, and it has no body
        return HEADER.unpack(_read(HEADER.size))[1] == number
    except EOFError:
        os._exit(0)


def _read(size: int) -> bytes:
    return read_exactly(partial(os.read, 0), size)


def _reply(kind: bytes, number: int, body: bytes = b"") -> None:
    view = memoryview(HEADER.pack(kind, number, len(body)) + body)
    while view:
        view = view[os.write(1, view) :]


def _fork(work: Callable[[], None]) -> int:
    process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return process


def _wait(process: int) -> None:
    if os.waitpid(process, 0)[1] != 0:
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
