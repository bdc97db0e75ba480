"""What the library asks of the program espeak-ng, answered by eSpeak NG's library from its wheel:
text to phonemes, and the list of languages.

It is run as a program of its own, like the one that it stands for: eSpeak NG is under the GPL and
not re-entrant. It imports nothing of this one.

    espeak_program.py -q -b 1 -v en-us --ipa=1 -f TEXT.txt
    espeak_program.py --voices
"""

from __future__ import annotations

import argparse
import ctypes as c
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_UTF8, _IPA = 1, 0x02
_BETWEEN = ord("_") << 8  # what stands between phonemes


class _Voice(c.Structure):
    _fields_ = (
        ("name", c.c_char_p),
        ("languages", c.c_void_p),  # a number, a name, and again, until a zero
        ("identifier", c.c_char_p),
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("-q", action="store_true")
    given.add_argument("-b")
    given.add_argument("-v", dest="voice", default="en")
    given.add_argument("-f", dest="file")
    given.add_argument("--ipa")
    given.add_argument("--voices", action="store_true")
    asked = given.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    text = "" if asked.voices else Path(asked.file).read_text("utf-8")
    library = _opened()
    if asked.voices:
        print("Pty Language Age/Gender VoiceName")
        for language, name in _languages(library):
            print(f"5 {language} --/M {name.replace(' ', '_')}")
        return
    if library.espeak_SetVoiceByName(asked.voice.encode()) != 0:
        sys.exit(f"eSpeak NG has no voice {asked.voice!r}.")
    for clause in _phonemes(library, text):
        print(clause)


def _opened() -> c.CDLL:
    import espeakng_loader

    library = c.CDLL(str(espeakng_loader.get_library_path()))
    data = Path(espeakng_loader.get_data_path())
    os.chdir(data.parent)  # it holds paths of 160 characters at most
    if library.espeak_Initialize(_SYNCHRONOUS, 0, data.name.encode(), _DONT_EXIT) <= 0:
        sys.exit(f"eSpeak NG found no usable data in {data}.")
    return library


def _phonemes(library: c.CDLL, text: str) -> Iterator[str]:
    """IPA of each clause."""
    library.espeak_TextToPhonemes.restype = c.c_char_p
    library.espeak_TextToPhonemes.argtypes = (c.POINTER(c.c_void_p), c.c_int, c.c_int)
    held = c.create_string_buffer(text.encode())
    rest = c.c_void_p(c.addressof(held))
    while rest.value:
        yield library.espeak_TextToPhonemes(c.byref(rest), _UTF8, _IPA | _BETWEEN).decode()


def _languages(library: c.CDLL) -> Iterator[tuple[str, str]]:
    library.espeak_ListVoices.restype = c.POINTER(c.POINTER(_Voice))
    library.espeak_ListVoices.argtypes = (c.c_void_p,)
    found = library.espeak_ListVoices(None)
    number = 0
    while found[number]:
        voice = found[number].contents
        at = voice.languages
        while c.string_at(at, 1) != b"\0":
            language = c.string_at(at + 1)
            yield language.decode(), voice.name.decode()
            at += len(language) + 2
        number += 1


if __name__ == "__main__":
    main()
