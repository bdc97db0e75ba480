"""The process that owns eSpeak NG's library. Started by `pool`, never imported by the engine.

The library keeps state: its vibrato goes on from text to text, settings of one voice leak into the
next, and after some hundred changes of the rate sentences lose their ends. So that the same
request always gives the same samples, every text is spoken by a library that was loaded afresh;
that is done ahead, with the voice of the last text, while the engine is busy with the sound.

A crash of the library ends the process, which the engine notices as the end of the pipe. It ends
too when its standard input or output closes.
"""

from __future__ import annotations

import os
import resource
import select
import sys
import time
from collections.abc import Sequence

from engines.espeak import protocol
from engines.espeak.library import Library
from engines.espeak.protocol import HEADER, WordEvent, read_exactly

CPU_SECONDS = 600  # for one text; a library that hangs must not outlive the program
TEXTS = 500  # spoken by one process image: each leaves some 15 kB that the library never frees
AGAIN = "again"  # argument of a process image that follows another

_Request = tuple[bytes, int, bytes]  # kind, number, body

_input = select.poll()
_input.register(0, select.POLLIN)


def main(library: str, folder: str, data: str, *again: str) -> None:
    """
    Args:
        library: path of the shared library.
        folder: where its data is.
        data: name of the data's own folder.
        again: AGAIN where the engine knows already that the library loads.
    """
    try:
        os.chdir(folder)
        loaded = Library(library, data)
    except OSError as error:
        _reply(protocol.FAILED, 0, str(error).encode())
        return
    if not again:
        _reply(protocol.READY, 0)
    voice = b""
    for _ in range(TEXTS):
        if (request := _next_request()) is None:
            return
        wanted = protocol.unpack_body(request[2])[2]
        if voice not in (b"", wanted):
            loaded = _afresh(loaded, library, data)
            voice = b""
        if not voice:
            loaded.set_voice(wanted)
        _speak(loaded, *request)
        loaded = _afresh(loaded, library, data)
        loaded.set_voice(wanted)
        voice = wanted
    _start_again()


def _afresh(loaded: Library, library: str, data: str) -> Library:
    if not loaded.close():
        _start_again()
    return Library(library, data)


def _start_again() -> None:
    """Become a new process image, with nothing of this one but its pipes."""
    command = sys.orig_argv
    again = [] if command[-1] == AGAIN else [AGAIN]
    os.execv(sys.executable, [*command, *again])


def _speak(library: Library, kind: bytes, number: int, body: bytes) -> None:
    values, marked, _, text = protocol.unpack_body(body)
    _limit_cpu_time()
    naming = kind == protocol.PHONEMES
    said: list[str] = []

    def send(pcm: bytes, words: Sequence[WordEvent], names: Sequence[str]) -> bool:
        if naming:
            said.extend(names)
        elif pcm or words:
            _reply(protocol.CHUNK, number, protocol.pack_chunk(words, pcm))
        return _stopped(number)

    status = library.speak(text + b"\0", values, marked, naming, send)
    if status != 0:
        _reply(protocol.FAILED, number, f"eSpeak NG's status was {status:#x}".encode())
        return
    if naming:
        _reply(protocol.NAMES, number, "\n".join(said).encode())
    _reply(protocol.END, number)


def _limit_cpu_time() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(time.process_time()) + CPU_SECONDS
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
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
