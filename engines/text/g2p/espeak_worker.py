"""The process that owns eSpeak NG's library for `espeak`: one language, text in, IPA out.

It ends with its input. Standard library alone: it has to start fast.
"""

from __future__ import annotations

import ctypes as c
import os
import struct
import sys

# constants of espeak-ng's speak_lib.h
_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_UTF8, _IPA = 1, 0x02
_BETWEEN = ord("_") << 8  # what stands between phonemes
_SIZE = struct.Struct("<I")


def main(library: str, folder: str, data: str, language: str) -> None:
    """
    Args:
        library: path of the shared library.
        folder, data: where the folder of its data is, and its name: the library holds short paths.
    """
    os.chdir(folder)
    lib = c.CDLL(library)
    lib.espeak_TextToPhonemes.argtypes = (c.POINTER(c.c_char_p), c.c_int, c.c_int)
    lib.espeak_TextToPhonemes.restype = c.c_char_p
    fault = ""
    if lib.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT) <= 0:
        fault = f"eSpeak NG found no usable data in {data}."
    elif lib.espeak_SetVoiceByName(language.encode()) != 0:
        fault = f"eSpeak NG has no language {language}."
    _reply(fault)
    while head := sys.stdin.buffer.read(_SIZE.size):
        text = sys.stdin.buffer.read(*_SIZE.unpack(head))
        rest, said = c.c_char_p(text), []
        while rest.value is not None:  # one clause at a time
            clause = lib.espeak_TextToPhonemes(c.byref(rest), _UTF8, _IPA | _BETWEEN)
            said.append((clause or b"").decode("utf-8", "replace"))
        _reply(" ".join(said))


def _reply(text: str) -> None:
    data = text.encode()
    sys.stdout.buffer.write(_SIZE.pack(len(data)) + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
