"""eSpeak NG's shared library through ctypes. Only a worker process may load it."""

from __future__ import annotations

import ctypes as c
import os
import struct
from collections.abc import Callable
from pathlib import Path

from engines.espeak.protocol import Settings, WordEvent

BUFFER_MS = 500  # audio handed over at once: small for the listener, few calls for us

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8, _PHONEMES_IN_TEXT = 0x01, 0x100
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
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
    """The loaded library. It is not re-entrant and keeps state from voice to voice and from text to
    text, so a process that has set a voice or spoken is not asked to do other work; see `worker`.

    Args:
        library: path of the shared library.
        data: path of the folder `espeak-ng-data`.

    Raises:
        OSError: the library or its data cannot be loaded.
    """

    def __init__(self, library: str, data: str) -> None:
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
        # The library holds paths of 160 characters at most, so it is given a short one.
        os.chdir(Path(data).parent)
        name = Path(data).name.encode()
        if self._lib.espeak_Initialize(_SYNCHRONOUS, BUFFER_MS, name, _DONT_EXIT) <= 0:
            raise OSError(f"eSpeak NG found no usable data in {data}")
        self._lib.espeak_SetSynthCallback(self._callback)
        self._lib.espeak_ListVoices(None)  # scanned once here, not once in every child

    def set_voice(self, voice: str) -> None:
        """
        Raises:
            OSError: there is no such voice.
        """
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise OSError(f"eSpeak NG has no voice {voice}")

    def prepare(self, settings: Settings, naming: bool) -> None:
        """Set everything but the voice for one text.

        Args:
            naming: name the phonemes, in IPA, as they are spoken.
        """
        values = (
            (_RATE, settings.rate),
            (_VOLUME, settings.volume),
            (_PITCH, settings.pitch),
            (_RANGE, settings.pitch_range),
            (_WORD_GAP, settings.word_gap),
        )
        for parameter, value in values:
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._lib.espeak_ng_SetRandSeed(settings.noise)
        self._lib.espeak_ng_SetPhonemeEvents(int(naming), int(naming))

    def speak(self, text: bytes, marked: bool, sink: Sink) -> int:
        """
        Args:
            text: UTF-8, ends with a zero.
            marked: read `[[ ]]` as phonemes.

        Returns:
            eSpeak NG's status; 0 is success.
        """
        self._sink = sink
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
