"""Published names of tensors, and ours.

A table has one row for each name that differs: the published one, then ours. `{}` stands for a
number. A row speaks for a whole name or for its beginning up to a dot; the first that fits counts.

    KeyMap([("upsamples.{}.1", "ups.{}"), ("blocks.{}", "resblocks.{}")], drop=("optimizer",))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# Where weight norm keeps the two halves of `weight`; the second is torch's newer way.
HALVES = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
_FOREIGN = "!"  # leads our name of a tensor that lacks the prefix, so that it is told as unexpected


@dataclass(frozen=True)
class KeyMap:
    """
    Attributes:
        rows: published and own name, both without the prefix.
        prefix: what all published names begin with.
        drop: published beginnings (without the prefix, `{}` for a number) of what is not wanted;
            said explicitly, so that all else that a model lacks is an error.
    """

    rows: Sequence[tuple[str, str]]
    prefix: str = ""
    drop: Sequence[str] = ()
    _dropped: list[re.Pattern[str]] = field(init=False, repr=False, compare=False)
    _to_own: list[tuple[re.Pattern[str], str]] = field(init=False, repr=False, compare=False)
    _to_published: list[tuple[re.Pattern[str], str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        there = [(_pattern(published), _template(own)) for published, own in self.rows]
        back = [(_pattern(own), _template(published)) for published, own in self.rows]
        object.__setattr__(self, "_dropped", [_pattern(each) for each in self.drop])
        object.__setattr__(self, "_to_own", there)
        object.__setattr__(self, "_to_published", back)

    def own(self, key: str) -> str | None:
        """Our name of a published tensor; None for one that is dropped."""
        if not key.startswith(self.prefix):
            return _FOREIGN + key
        bare = key[len(self.prefix) :]
        if any(pattern.match(bare) for pattern in self._dropped):
            return None
        return _rename(bare, self._to_own)

    def published(self, key: str) -> str:
        """The published name of one of our tensors."""
        if key.startswith(_FOREIGN):
            return key[len(_FOREIGN) :]
        return self.prefix + _rename(key, self._to_published)


def half(key: str) -> tuple[str, int] | None:
    """What a tensor of weight norm belongs to: the name of the whole, and 0 for its length or 1
    for its direction. None for any other tensor."""
    for names in HALVES:
        for index, name in enumerate(names):
            if key.endswith(f".{name}"):
                return f"{key.removesuffix(name)}weight", index
    return None


def shown(keys: Iterable[str], most: int = 8) -> str:
    """The first names of many, and how many more there are."""
    keys = list(keys)
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _rename(key: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, template in rules:
        if match := pattern.match(key):
            return match.expand(template) + key[match.end() :]
    return key


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{\}", r"(\d+)") + r"(?=\.|$)")


def _template(name: str) -> str:
    parts = name.split("{}")
    return "".join(f"{part}\\g<{i}>" for i, part in enumerate(parts[:-1], 1)) + parts[-1]
