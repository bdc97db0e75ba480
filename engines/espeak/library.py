"""eSpeak NG's shared library through ctypes. Only a worker process may load it."""

from __future__ import annotations

import ctypes as c
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.espeak.protocol import Settings, WordEvent

BUFFER_MS = 500  # audio handed over at once: small for the listener, few calls for us

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8, _PHONEMES_IN_TEXT = 0x01, 0x100
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_CHARACTER_POSITION = 1
_LIST_ENDED, _WORD, _PHONEME = 0, 1, 7


class _Event(c.Structure):
    _fields_ = (
        ("type", c.c_int),
        ("request", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_ms", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("name", c.c_char * 8),
    )


_Callback = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, c.POINTER(_Event))


@dataclass
class Output:
    """What one call of the library's callback brings."""

    pcm: bytes  # int16 [T]
    words: list[WordEvent]
    phonemes: list[str]  # "" where a word begins


Sink = Callable[[Output], bool]  # True stops the synthesis


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
        self._sink: Sink = lambda output: True
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

    def synthesise(
        self, text: str, settings: Settings, marked: bool, phonemes: bool, sink: Sink
    ) -> int:
        """Speak with the voice that is set.

        Args:
            marked: read `[[ ]]` as phonemes.
            phonemes: name the phonemes, in IPA, as they are spoken.

        Returns:
            eSpeak NG's status; 0 is success.
        """
        self._sink = sink
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
        self._lib.espeak_ng_SetPhonemeEvents(int(phonemes), int(phonemes))
        data = text.encode() + b"\0"
        flags = _UTF8 | (_PHONEMES_IN_TEXT if marked else 0)
        return self._lib.espeak_Synth(
            data, len(data), 0, _CHARACTER_POSITION, 0, flags, None, None
        )

    def _receive(self, samples: int | None, count: int, events: Any) -> int:
        # An exception cannot pass through C: ctypes would print it and go on.
        try:
            pcm = c.string_at(samples, 2 * count) if samples and count else b""
            return int(self._sink(_output(pcm, events)))
        except BaseException:
            os._exit(1)


def _output(pcm: bytes, events: Any) -> Output:
    output = Output(pcm, [], [])
    index = 0
    while (event := events[index]).type != _LIST_ENDED:
        if event.type == _WORD:
            output.words.append((event.text_position, event.length, event.sample))
            output.phonemes.append("")
        elif event.type == _PHONEME:
            output.phonemes.append(event.name.decode(errors="replace"))
        index += 1
    return output
