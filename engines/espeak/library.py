"""eSpeak NG's shared library through ctypes. Only a worker process may load it."""

from __future__ import annotations

import ctypes as c
import os
import struct
from collections.abc import Callable

from engines.espeak.protocol import Values, WordEvent

BUFFER_MS = 500  # audio handed over at once: small for the listener, few calls for us

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

_Callback = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, c.c_void_p)

# Takes int16 samples, words and phoneme names; True stops the synthesis. Among the names stand
# "|" and the first character (from 1) where a word begins, and "" for pauses.
Sink = Callable[[bytes, list[WordEvent], list[str]], bool]


class Library:
    """The loaded library. It is not re-entrant, and keeps state from voice to voice and from text
    to text: a process that has set a voice or spoken is not asked to do more; see `worker`.

    Args:
        library: path of the shared library.
        folder: where its data is. It becomes the current folder, for the library holds paths of
            160 characters at most and so is given a short one.
        data: name of the data's own folder.

    Raises:
        OSError: the library or its data cannot be loaded.
    """

    def __init__(self, library: str, folder: str, data: str) -> None:
        self._sink: Sink = lambda *_: True
        self._callback = _Callback(self._receive)  # held here: the library keeps a bare pointer
        self._lib = c.CDLL(library)
        self._lib.espeak_Synth.argtypes = (
            c.c_char_p,
            c.c_size_t,
            c.c_uint,
            c.c_int,
            c.c_uint,
            c.c_uint,
            c.c_void_p,
            c.c_void_p,
        )
        self._lib.espeak_ng_SetRandSeed.argtypes = (c.c_long,)
        os.chdir(folder)
        if self._lib.espeak_Initialize(_SYNCHRONOUS, BUFFER_MS, data.encode(), _DONT_EXIT) <= 0:
            raise OSError(f"eSpeak NG found no usable data in {folder}")
        self._lib.espeak_SetSynthCallback(self._callback)
        self._lib.espeak_ListVoices(None)  # scanned once here, not once in every child

    def set_voice(self, voice: bytes) -> None:
        """
        Raises:
            OSError: there is no such voice.
        """
        if self._lib.espeak_SetVoiceByName(voice) != 0:
            raise OSError(f"eSpeak NG has no voice {voice!r}")

    def speak(self, text: bytes, values: Values, marked: bool, naming: bool, sink: Sink) -> int:
        """Speak with the voice that is set. Once only in a process: settings add up in the library.

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
                # read as bytes: a ctypes structure touches, and so copies, more pages of a child
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
