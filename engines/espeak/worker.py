"""The process that owns eSpeak NG's library. Started by `pool`, never imported by the engine.

The library keeps state: its vibrato goes on from text to text, settings of one voice leak into the
next, and after some hundred changes of the rate sentences lose their ends. So that the same
request always gives the same samples, every text is spoken by a process that did nothing before:

    worker         library loaded, no voice set
    └ voice        one voice set; made anew when another is asked for
      └ speaker    speaks one text and ends

A speaker that crashes takes the three down with it, which the engine notices as the end of the
pipe. All three end when their standard input or output closes.
"""

from __future__ import annotations

import gc
import os
import resource
import select
from collections.abc import Callable

from engines.espeak import protocol
from engines.espeak.library import Library
from engines.espeak.protocol import HEADER, WordEvent, read_exactly

CPU_SECONDS = 600  # of one speaker; one that hangs must not outlive the program

_Request = tuple[bytes, int, bytes]  # kind, number, body

_input = select.poll()
_input.register(0, select.POLLIN)


def main(library: str, folder: str, data: str) -> None:
    """
    Args:
        library: path of the shared library.
        folder: where its data is.
        data: name of the data's own folder.
    """
    try:
        loaded = Library(library, folder, data)
    except OSError as error:
        _reply(protocol.FAILED, 0, str(error).encode())
        return
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at
    _reply(protocol.READY, 0)
    request = _next_request()
    while request is not None:
        request = _hand_to_voice(loaded, request)


def _hand_to_voice(library: Library, request: _Request) -> _Request | None:
    """Let a child speak with the voice of this request; returns the next request for another."""
    receiving, sending = os.pipe()

    def child() -> None:
        os.close(receiving)
        following = _speak_with_one_voice(library, request)
        if following is not None:
            kind, number, body = following
            _write(sending, HEADER.pack(kind, number, len(body)) + body)

    process = _fork(child)
    os.close(sending)
    try:
        kind, number, size = HEADER.unpack(_read(receiving, HEADER.size))
        return kind, number, _read(receiving, size)
    except EOFError:
        return None
    finally:
        os.close(receiving)
        _wait(process)


def _speak_with_one_voice(library: Library, request: _Request) -> _Request | None:
    """Speak requests until one wants another voice; that one is returned."""
    voice = protocol.unpack_body(request[2])[2]
    library.set_voice(voice)
    following: _Request | None = request
    while following is not None:
        kind, number, body = following
        if protocol.unpack_body(body)[2] != voice:
            return following
        _speak_in_child(library, kind, number, body)
        following = _next_request()
    return None


def _speak_in_child(library: Library, kind: bytes, number: int, body: bytes) -> None:
    # unpacked here, for each page that a child writes to has to be copied
    values, marked, _, text = protocol.unpack_body(body)
    ended = text + b"\0"
    naming = kind == protocol.PHONEMES
    _wait(_fork(lambda: _speak(library, number, ended, values, marked, naming)))


def _speak(
    library: Library, number: int, text: bytes, values: protocol.Values, marked: bool, naming: bool
) -> None:
    _limit_cpu_time()
    said: list[str] = []

    def send(pcm: bytes, words: list[WordEvent], names: list[str]) -> bool:
        if naming:
            said.extend(names)
        elif pcm or words:
            _reply(protocol.CHUNK, number, protocol.pack_chunk(words, pcm))
        return _stopped(number)

    status = library.speak(text, values, marked, naming, send)
    if status != 0:
        _reply(protocol.FAILED, number, f"eSpeak NG's status was {status:#x}".encode())
        return
    if naming:
        _reply(protocol.NAMES, number, "\n".join(said).encode())
    _reply(protocol.END, number)


def _limit_cpu_time() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = CPU_SECONDS if most == resource.RLIM_INFINITY else min(CPU_SECONDS, most)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


def _next_request() -> _Request | None:
    """The next text to speak; None when the engine has gone. What stops a request that is already
    done is passed over."""
    while True:
        try:
            kind, number, size = HEADER.unpack(_read(0, HEADER.size))
            body = _read(0, size)
        except EOFError:
            return None
        if kind != protocol.ABORT:
            return kind, number, body


def _stopped(number: int) -> bool:
    """Has the engine asked for an end of this request?"""
    if not _input.poll(0):
        return False
    try:
        # while a request runs nothing but an abort is sent, and it has no body
        return HEADER.unpack(_read(0, HEADER.size))[1] == number
    except EOFError:
        os._exit(0)


def _reply(kind: bytes, number: int, body: bytes = b"") -> None:
    _write(1, HEADER.pack(kind, number, len(body)) + body)


def _read(file: int, size: int) -> bytes:
    return read_exactly(lambda count: os.read(file, count), size)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


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
