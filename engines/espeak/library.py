"""eSpeak NG's shared library through ctypes. Only a worker process may load it."""

from __future__ import annotations

import _ctypes
import ctypes as c
import os
import struct
from collections.abc import Callable

from engines.espeak.protocol import Values, WordEvent

BUFFER_MS = 1000  # audio handed over at once; it takes about a millisecond to make

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8, _PHONEMES_IN_TEXT = 0x01, 0x100
_PARAMETERS = (1, 2, 3, 4, 7)  # rate, volume, pitch, range, word gap
_CHARACTER_POSITION = 1
_LIST_ENDED, _WORD, _PHONEME = 0, 1, 7


_EVENT = struct.Struct("=iIiiii")  # type, request, text position, length, milliseconds, sample
_EVENT_BYTES = 40  # of C's espeak_EVENT, which ends in a pointer and a union of 8 bytes
_NAME_AT = 32

_SYNTH_ARGUMENTS = (
    c.c_char_p,
    c.c_size_t,
    c.c_uint,
    c.c_int,
    c.c_uint,
    c.c_uint,
    c.c_void_p,
    c.c_void_p,
)
_system = c.CDLL(None)
_Callback = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, c.c_void_p)

# Takes int16 samples, words and phoneme names; True stops the synthesis. Among the names stand
# "|" and the first character (from 1) where a word begins, and "" for pauses.
Sink = Callable[[bytes, list[WordEvent], list[str]], bool]


class Library:
    """The loaded library. It is not re-entrant, and keeps state from voice to voice and from text
    to text: one that has spoken is closed, and loaded anew for the next text; see `worker`.

    Args:
        path: of the shared library.
        data: name of the folder of its data, in the current folder: the library holds paths of 160
            characters at most, and so is given a short one.

    Raises:
        OSError: the library or its data cannot be loaded.
    """

    def __init__(self, path: str, data: str) -> None:
        self._path = path
        self._data = data.encode()
        self._sink: Sink = lambda *_: True
        self._callback = _Callback(self._receive)  # held here: the library keeps a bare pointer
        self._lib = c.CDLL(path)
        self._lib.espeak_Synth.argtypes = _SYNTH_ARGUMENTS
        self._lib.espeak_ng_SetRandSeed.argtypes = (c.c_long,)
        if self._lib.espeak_Initialize(_SYNCHRONOUS, BUFFER_MS, self._data, _DONT_EXIT) <= 0:
            raise OSError(f"eSpeak NG found no usable data in {data}")
        self._lib.espeak_SetSynthCallback(self._callback)

    def close(self) -> bool:
        """Take the library out of the process; False where the system keeps it, and so its
        state."""
        self._lib.espeak_Terminate()
        _ctypes.dlclose(self._lib._handle)
        try:
            _ctypes.dlopen(self._path, os.RTLD_NOW | os.RTLD_NOLOAD)
        except OSError:
            return True
        return False

    def set_voice(self, voice: bytes) -> None:
        """
        Raises:
            OSError: there is no such voice.
        """
        # By name the library looks for the file in small letters, and where that is not there reads
        # every voice that it has, which takes longer than a sentence does. So the file is opened
        # here, and named by its number.
        path, plus, variant = voice.partition(b"+")
        file = os.open(b"%s/lang/%s" % (self._data, path), os.O_RDONLY)
        try:
            name = b"/dev/fd/%d" % file + plus + variant
            if self._lib.espeak_ng_SetVoiceByFile(name) == 0:
                return
        finally:
            os.close(file)
        if self._lib.espeak_SetVoiceByName(voice) != 0:
            raise OSError(f"eSpeak NG has no voice {voice!r}")

    def speak(self, text: bytes, values: Values, marked: bool, naming: bool, sink: Sink) -> int:
        """Speak with the voice that is set. Once only: settings add up in the library.

        Args:
            text: UTF-8, ends with a zero.
            marked: read `[[ ]]` as phonemes.
            naming: name the phonemes, in IPA, as they are spoken.

        Returns:
            eSpeak NG's status; 0 is success.
        """
        self._sink = sink
        *parameters, noise = values
        for parameter, value in zip(_PARAMETERS, parameters, strict=True):
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._lib.espeak_ng_SetRandSeed(noise)
        _system.srand(c.c_uint(noise))  # some variants draw their noise from the system's library,
        _system.srandom(c.c_uint(noise))  # which outlives this one
        self._lib.espeak_ng_SetPhonemeEvents(int(naming), int(naming))
        flags = _UTF8 | (_PHONEMES_IN_TEXT if marked else 0)
        return self._lib.espeak_Synth(text, len(text), 0, _CHARACTER_POSITION, 0, flags, None, None)

    def _receive(self, samples: int | None, count: int, events: int) -> int:
        # An exception cannot pass through C: ctypes would print it and go on.
        try:
            pcm = c.string_at(samples, 2 * count) if samples and count else b""
            words: list[WordEvent] = []
            names: list[str] = []
            while True:
                event = c.string_at(events, _EVENT_BYTES)
                kind, _, position, length, _, sample = _EVENT.unpack_from(event)
                if kind == _LIST_ENDED:
                    return int(self._sink(pcm, words, names))
                if kind == _WORD:
                    words.append((position, length, sample))
                    names.append(f"|{position}")
                elif kind == _PHONEME:
                    names.append(event[_NAME_AT:].partition(b"\0")[0].decode(errors="replace"))
                events += _EVENT_BYTES
        except BaseException:
            os._exit(1)
