"""What is asked of a worker, on the engine's side of the pipe."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from engines.espeak import protocol


@dataclass(frozen=True)
class Settings:
    """What eSpeak NG's parameters are set to, in its own units and in the protocol's order."""

    rate: int = 175  # words a minute, 80 to 449: from 450 on the library reports wrong times
    volume: int = 100  # amplitude, 0 to 200
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 to 99
    word_gap: int = 0  # units of 10 ms at the usual rate
    noise: int = 1  # seed of the breath and roughness of a voice


@dataclass(frozen=True)
class Request:
    """One text for the library.

    Attributes:
        kind: `protocol.SPEAK` or `protocol.PHONEMES`.
        voice: path of the voice below the data folder, with `+variant` where there is one.
        text: without control characters, which the library takes for commands.
        marked: does the text hold phonemes in `[[ ]]`?
    """

    kind: bytes
    voice: str
    text: str
    settings: Settings = Settings()
    marked: bool = False

    def pack(self, number: int) -> bytes:
        body = protocol.pack_body(astuple(self.settings), self.marked, self.voice, self.text)
        return protocol.HEADER.pack(self.kind, number, len(body)) + body
