"""The audio formats that Vivavoce writes, and the mark that says that the audio is synthetic."""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass

from engines.errors import UnknownFormat

SOFTWARE = "Vivavoce"
TITLE_LENGTH = 80  # characters of the text that name the audio


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its name in requests.

    Attributes:
        mime: media type to send it with.
        extension: of a file, without a dot.
        rates: sample rates in Hz that it takes; () for any.
    """

    name: str
    mime: str
    extension: str
    rates: tuple[int, ...] = ()

    def rate_for(self, sample_rate: int) -> int:
        """The rate to encode at: the given one, else the next higher one that the format takes."""
        if not self.rates or sample_rate in self.rates:
            return sample_rate
        return min((rate for rate in self.rates if rate > sample_rate), default=max(self.rates))


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        Format("wav", "audio/wav", "wav"),
        Format("flac", "audio/flac", "flac"),
        Format("mp3", "audio/mpeg", "mp3", _MPEG_RATES),
        Format("opus", "audio/ogg", "opus", (8000, 12000, 16000, 24000, 48000)),
        Format("aac", "audio/aac", "aac", _MPEG_RATES),
        Format("pcm", "audio/pcm", "pcm"),
    )
}


def format_named(name: str) -> Format:
    """The format of that name, in any case.

    Raises:
        UnknownFormat: there is none; the message lists those that there are.
    """
    fmt = FORMATS.get(name.lower())
    if fmt is None:
        raise UnknownFormat(
            f"There is no audio format {name!r:.80}.",
            f"Formats here: {', '.join(FORMATS)}.",
            "Pick one of them.",
            param="response_format",
        )
    return fmt


@dataclass(frozen=True, slots=True)
class Tags:
    """Metadata that every output carries, once, as far as its container has room for it.

    It marks the audio as synthetic in a form that machines read (EU AI Act, article 50). Raw pcm
    has no room; nor has wav while it is streamed, whose length is unknown, so that whatever
    followed the samples would be heard as noise.

    Attributes:
        text: what is spoken; its beginning becomes the title.
        engine: name of the engine that spoke.
        voice: id of the voice.
    """

    text: str
    engine: str
    voice: str

    @property
    def title(self) -> str:
        title = _plain(self.text) or "Speech"
        return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"

    @property
    def comment(self) -> str:
        return (
            f"Synthetic speech, made with {SOFTWARE} ({_plain(self.engine)}, {_plain(self.voice)})"
        )


def _plain(text: str) -> str:
    """One line without the characters that end or break a string in a tag."""
    line = " ".join(text[: TITLE_LENGTH * 20].split())
    return "".join(sign for sign in line if unicodedata.category(sign)[0] != "C")


def id3(tags: Tags) -> bytes:
    """An ID3v2.3 tag, to stand before MP3 frames, or before AAC's as in HTTP Live Streaming."""
    frames = b"".join(
        name + struct.pack(">IH", len(body), 0) + body
        for name, body in (
            (b"TIT2", _id3_text(tags.title)),
            (b"TSSE", _id3_text(SOFTWARE)),
            (b"COMM", b"\x01eng" + _utf16("") + b"\0\0" + _utf16(tags.comment)),
        )
    )
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + frames


def _id3_text(text: str) -> bytes:
    return b"\x01" + _utf16(text)


def _utf16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def riff_info(tags: Tags) -> bytes:
    """A LIST chunk of the kind INFO, to stand after the samples of a wav file."""
    body = b"INFO"
    for name, text in ((b"INAM", tags.title), (b"ICMT", tags.comment), (b"ISFT", SOFTWARE)):
        data = text.encode() + b"\0"
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"LIST" + struct.pack("<I", len(body)) + body
