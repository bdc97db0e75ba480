"""Language tags: BCP 47 in any spelling in, what the libraries call them out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

# macrolanguages, old codes, and names that only eSpeak NG uses → what CLDR knows
_ALIASES = {"cmn": "zh", "iw": "he", "in": "id", "ji": "yi", "mo": "ro", "no": "nb", "tl": "fil"}


def canonical(tag: str) -> str:
    """A tag in BCP 47's usual letter case: "en_us" → "en-US", "zh-hant" → "zh-Hant"."""
    first, *rest = re.split(r"[-_]", tag.strip())
    private = False
    parts = [first.lower()]
    for part in rest:
        if not private and len(part) == 2:
            part = part.upper()
        elif not private and len(part) == 4 and part.isalpha():
            part = part.title()
        else:
            private = private or len(part) == 1
            part = part.lower()
        parts.append(part)
    return "-".join(parts)


def primary(tag: str) -> str:
    """The language alone, by the code that CLDR uses: "en-GB" → "en", "cmn-Hans" → "zh"."""
    code = canonical(tag).partition("-")[0]
    return _ALIASES.get(code, code)


def fallbacks(tag: str) -> tuple[str, ...]:
    """Lower-case tags from the special to the general: "zh-Hant-TW" → zh-hant-tw, zh-hant, zh."""
    parts = canonical(tag).lower().split("-")
    return tuple("-".join(parts[:size]) for size in range(len(parts), 0, -1))


@lru_cache(maxsize=256)
def cldr_locale(tag: str) -> Locale | None:
    """CLDR's data for the nearest locale that it has; None for a language that it lacks."""
    from babel import Locale, UnknownLocaleError

    for candidate in fallbacks(tag):
        code, _, rest = candidate.partition("-")
        name = "_".join(filter(None, (_ALIASES.get(code, code), rest.replace("-", "_"))))
        try:
            return Locale.parse(name)
        except (UnknownLocaleError, ValueError):
            continue
    return None


@lru_cache(maxsize=512)
def language_name(tag: str) -> str:
    """The language's English name for lists, such as "German (Austria)"; the tag where CLDR has
    no name. What CLDR does not know of a tag follows in brackets: "English (x-scotland)"."""
    locale = cldr_locale(tag)
    if locale is None:
        return canonical(tag)
    known = {part.lower() for part in (locale.territory, locale.script, locale.variant) if part}
    details = [part for part in canonical(tag).split("-")[1:] if part.lower() not in known]
    name = locale.get_display_name("en") or canonical(tag)
    return f"{name} ({'-'.join(details)})" if details else name
