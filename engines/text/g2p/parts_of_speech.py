"""Verb or not: what decides how English homographs are read.

NLTK's tagger, with which g2p_en's phonemes were made, is used where its data is installed. Else the
tagger of textblob is, whose data comes in its wheel; its file is loaded by itself, because the
package brings pandas and scikit-learn along, which takes seconds. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from engines.errors import MissingDependency

log = logging.getLogger("vivavoce.text")

Tagger = Callable[[Sequence[str]], Sequence[tuple[str, str]]]

NLTK_DATA = "taggers/averaged_perceptron_tagger_eng"
# After these, and after adjectives that follow them, comes no finite verb.
_BEFORE_NOUNS = frozenset(("a", "an", "the", "my", "your", "his", "its", "our", "their", "no"))
# After these comes a verb, also after "not" that follows them.
_BEFORE_VERBS = (
    "i you we they who to will would can could shall should may might must do does did "
    "i'll you'll he'll she'll it'll we'll they'll won't wouldn't can't cannot couldn't shouldn't "
    "don't doesn't didn't let's please"
)
_FINITE = ("VB", "VBP", "VBZ")


def tagger() -> Tagger:
    """From words in lower case to words with Penn Treebank tags.

    Raises:
        MissingDependency: neither library is installed.
    """
    return _nltk() or _pattern()


@cache
def _nltk() -> Tagger | None:
    if importlib.util.find_spec("nltk") is None or not any(map(_has_data, _data_folders())):
        return None
    import nltk

    try:
        nltk.pos_tag(["word"])
    except (LookupError, OSError, ValueError) as error:
        log.warning("NLTK's tagger cannot be used: %s", " ".join(str(error).split())[:200])
        return None
    return nltk.pos_tag


def _has_data(folder: Path) -> bool:
    place = folder / NLTK_DATA
    return place.is_dir() or place.with_name(f"{place.name}.zip").is_file()


def _data_folders() -> list[Path]:
    """Where NLTK looks; asked of NLTK itself this would take seconds."""
    given = [Path(each) for each in os.environ.get("NLTK_DATA", "").split(os.pathsep) if each]
    prefixes = [Path(sys.prefix), Path("/usr"), Path("/usr/local")]
    below = [prefix / part for prefix in prefixes for part in ("", "share", "lib")]
    return [*given, *(place / "nltk_data" for place in (Path.home(), *below))]


@cache
def _pattern() -> Tagger:
    folder = _textblob()
    spec = importlib.util.spec_from_file_location("vivavoce_textblob", folder / "_text.py")
    assert spec is not None and spec.loader is not None
    text: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(text)
    files = {
        name: str(folder / "en" / f"en-{file}.txt")
        for name, file in {
            "path": "lexicon",
            "morphology": "morphology",
            "context": "context",
            "entities": "entities",
        }.items()
    }
    lexicon = text.Lexicon(**files, language="en")
    find_tags = text.Parser(lexicon=lexicon, default=("NN", "NNP", "CD"), language="en").find_tags

    def tag(words: Sequence[str]) -> list[tuple[str, str]]:
        tagged = find_tags(list(words), map=lambda word, tag: (word, tag))
        return _corrected([(word, tag) for word, tag, *_ in tagged])

    return tag


def _corrected(tagged: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tagger takes "the refuse" for a verb, and "they will present" for none."""
    corrected: list[tuple[str, str]] = []
    before_verbs = _BEFORE_VERBS.split()
    noun_due = verb_due = False
    for word, tag in tagged:
        if noun_due and tag in _FINITE:
            tag = "NNS" if tag == "VBZ" else "NN"
        elif verb_due and tag in ("NN", "JJ"):
            tag = "VB"
        noun_due = word in _BEFORE_NOUNS or (noun_due and tag.startswith("JJ"))
        verb_due = word in before_verbs or (verb_due and word in ("not", "never"))
        corrected.append((word, tag))
    return corrected


def _textblob() -> Path:
    spec = importlib.util.find_spec("textblob")
    if spec is None or spec.origin is None:
        raise MissingDependency(
            "The package textblob is not installed.",
            "It tells verbs from nouns in English text.",
            "Install it: pip install textblob",
        )
    return Path(spec.origin).parent
