"""The text of a dropped file, decoded by what is in it and not by what it is called."""

from __future__ import annotations

import codecs
import unicodedata

from engines.errors import BadText

BYTES_A_CHARACTER = 4  # at most, in any encoding that is read here
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LOOKED_AT = 64 * 1024  # bytes that tell an encoding
NO_PLAIN_TEXT = (
    b"%PDF-",
    b"{\\rtf",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
)  # read as text, they are noise
LATIN = ("cp1252", "cp1250")
OTHER_SCRIPTS = (
    *("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
CONTROLS_ALLOWED = "\t\n\r\f\v\x1a\x1b\x85"  # what old text files hold, beside words


def decode(data: bytes, max_chars: int) -> str:
    """The text of a file: by its byte order mark, else UTF-8, UTF-16, or the likeliest old code.

    Raises:
        BadText: the file is empty, too large, or no text.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise BadText("The file is empty.", "", "Drop one with words in it.", param="text")
    if len(data) > max_chars * BYTES_A_CHARACTER:
        raise _too_long(f"The file has {len(data):,} bytes.", max_chars)
    text = None if data.startswith(NO_PLAIN_TEXT) else _decoded(data)
    if text is None or _is_binary(text[:LOOKED_AT]):
        raise BadText(
            "The file holds no plain text.",
            "Plain text is read: .txt or .md, in UTF-8, UTF-16 or an older encoding.",
            "Save it as plain text, or copy its words into the box.",
            param="text",
        )
    if len(text) > max_chars:
        raise _too_long(f"The file has {len(text):,} characters.", max_chars)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str | None:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _try(data, encoding)
    if b"\0" in data[:LOOKED_AT]:
        return _utf16_without_mark(data)
    return _try(data, "utf-8") or _old_code(data)


def _try(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _utf16_without_mark(data: bytes) -> str | None:
    """Most scripts' UTF-16 has a zero in every second byte wherever there is a space or a digit."""
    even, odd = data[0:LOOKED_AT:2].count(0), data[1:LOOKED_AT:2].count(0)
    return _try(data, "utf-16-le" if odd > even else "utf-16-be")


def _old_code(data: bytes) -> str | None:
    """Encodings that carry no sign of which they are: judged by the words they give.

    A text of Latin letters is taken as Western European unless another code fits it better, since
    the Latin codes differ in a few letters only.
    """
    from charset_normalizer import from_bytes

    sample = data[:LOOKED_AT]
    latin = sum(byte < 0x80 and chr(byte).isalpha() for byte in sample)
    foreign = sum(byte >= 0x80 for byte in sample)
    codes = LATIN if latin >= foreign else OTHER_SCRIPTS
    matches = from_bytes(sample, cp_isolation=list(codes))
    best = min(matches, key=lambda match: (match.chaos, codes.index(match.encoding)), default=None)
    return _try(data, best.encoding if best else codes[0])


def _is_binary(text: str) -> bool:
    return any(
        char == "\0"
        or (unicodedata.category(char) in ("Cc", "Cn") and char not in CONTROLS_ALLOWED)
        for char in text
    )


def _too_long(given: str, max_chars: int) -> BadText:
    return BadText(
        given,
        f"One text has at most {max_chars:,} characters.",
        "Drop it in parts, a chapter at a time.",
        param="text",
    )
