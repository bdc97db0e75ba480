"""The eSpeak NG library called in one loop, nothing around it: the yardstick of bench.speech.

Reads a JSON list of texts from standard input, prints the seconds of sound made and the seconds
that it took. A process of its own, since the library is GPL-3 and not re-entrant.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

import espeakng_loader

# speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
POS_CHARACTER = 1
CHARS_UTF8 = 1
RATE_PARAMETER = 1
WORDS_A_MINUTE = 175

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def main() -> None:
    texts = [text.encode() for text in json.load(sys.stdin)]
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
    samples = 0

    def on_sound(_wave: object, count: int, _events: object) -> int:
        nonlocal samples
        samples += count
        return 0

    callback = Callback(on_sound)  # held: the library keeps a bare pointer
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(b"en-us")
    library.espeak_SetParameter(RATE_PARAMETER, WORDS_A_MINUTE, 0)
    started = time.perf_counter()
    for text in texts:
        library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
        )
    print(json.dumps({"audio": samples / rate, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
