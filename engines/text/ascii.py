"""Any script in ASCII, by the tables of Perl's Text::Unidecode.

Published models were trained on what the Python package Unidecode makes of their texts. It is under
the GPL, and its tables grew from the same ones: what is here gives the same for the signs of Latin
script and its punctuation.
"""

from __future__ import annotations

import unicodedata

_UNLISTED = "[?]"
# Where the tables differ in what English text holds.
_SINCE_CHANGED = {
    "¼": " 1/4",
    "½": " 1/2",
    "¾": " 3/4",
    "№": "No. ",
    "−": "-",
    "∕": "/",
    "₹": "Rs",
    "™": "(tm)",
    "⁊": "&",
    "Є": "Ie",
    "Ъ": "'",
    "ъ": "'",
}


def to_ascii(text: str) -> str:
    """Signs that no table has are left out."""
    return text if text.isascii() else "".join(map(_sign, text))


def _sign(sign: str) -> str:
    from text_unidecode import unidecode

    if sign in _SINCE_CHANGED:
        return _SINCE_CHANGED[sign]
    found = str(unidecode(sign))
    if not found or _UNLISTED in found:  # a sign that is another one in another form, as ℓ is
        parts = unicodedata.normalize("NFKD", sign)
        found = "" if parts == sign else "".join(unidecode(part) for part in parts)
    return found.replace(_UNLISTED, "")
