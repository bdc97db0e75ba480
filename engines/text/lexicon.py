"""How the user wants words pronounced: one file a language, read again when it changes."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from engines.api import Capability
from engines.errors import BadLexicon, StorageError
from engines.text.languages import fallbacks
from engines.text.split import between_letters

STARTER = """\
# How words are pronounced in this language, one entry a line:
#
#   word = respelling          Nguyen = win
#   word = /IPA/               quinoa = /ˈkiːnwɑː/
#
# Capital and small letters are the same, unless the entry has two equals signs:
#
#   US == U S                  says the letters of "US", and leaves "us" alone
#
# An entry may be several words or hold signs: New York = noo york, 3D = three dee, Dr. = doctor.
# A respelling is spoken as it stands; numbers in it are not put into words.
# Entries of en-us.txt come before those of en.txt for American English.
# A line that starts with # is a comment. Changes count from the next request on.
"""

_FILE_NAME = re.compile(r"[a-z]{2,3}(?:[-_][a-z0-9]{1,8})*\.txt", re.I)
_LONGEST_WORD = 200  # characters
# X-SAMPA and the like are a common slip; IPA has none of these signs
_NOT_IPA = re.compile(r"[A-Z0-9@{}\[\]&%?\\=#<>$*+;!\"_]")
_SPACELESS = (  # scripts that put no spaces between words
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_FOLDED = str.maketrans({"\n": " ", "\u00a0": " ", "\u2019": "'", "\u03c2": "\u03c3"})


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A letter of a script without spaces; what entries are looked up by: such a letter, a word,
    or a sign. Compiled when first needed, as that takes longer than the rest of this package."""
    letter = re.compile(f"[{_SPACELESS}]")
    return letter, re.compile(f"[{_SPACELESS}]|[^\\W{_SPACELESS}]+|\\S")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a lexicon: either `respelling` or `ipa` is set."""

    word: str
    respelling: str = ""
    ipa: str = ""
    exact: bool = False


@dataclass(slots=True)
class _File:
    """What is known of one file: its entries, and the size and time at which it was read."""

    stamp: tuple[int, int]
    entries: tuple[Entry, ...]


class Lexicon:
    """The entries of all languages. Safe to use from several threads."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}
        self._matchers: dict[tuple[Path, ...], tuple[list[tuple[int, int]], Matcher]] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> Lexicon:
        """Read every `<language>.txt` of a folder, which need not exist.

        Raises:
            BadLexicon: a line cannot be understood; the message names file and line.
            StorageError: a file cannot be read.
        """
        lexicon = cls(folder)
        for path in lexicon._paths():
            lexicon._read(path)
        return lexicon

    @classmethod
    def empty(cls) -> Lexicon:
        """A lexicon without entries or a folder."""
        return cls(None)

    def matcher(self, language: str) -> Matcher:
        """What finds the entries for a language in a text; files that changed are read again.

        Raises:
            BadLexicon: a changed file cannot be understood.
            StorageError: a changed file cannot be read.
        """
        with self._lock:
            by_name = {_stem(path): path for path in self._paths()}
            names = [name for name in fallbacks(language) if name in by_name]
            paths = tuple(by_name[name] for name in names)
            files = [self._read(path) for path in paths]
            stamps = [file.stamp for file in files]
            known = self._matchers.get(paths)
            if known is None or known[0] != stamps:
                # the special tag comes last, so that its entries replace the general ones
                entries = (entry for file in reversed(files) for entry in file.entries)
                known = self._matchers[paths] = (stamps, Matcher(entries))
            return known[1]

    def unheard(self, text: str, language: str, capability: Capability) -> tuple[str, ...]:
        """Words of a text whose IPA the engine cannot use, so that they stay as written.

        Raises:
            BadLexicon, StorageError: as `matcher`.
        """
        matcher = self.matcher(language)
        if capability.phonemes != "none" or not matcher.has_ipa:
            return ()
        return tuple(dict.fromkeys(entry.word for _, _, entry in matcher.find(text) if entry.ipa))

    def _paths(self) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if _FILE_NAME.fullmatch(path.name))

    def _read(self, path: Path) -> _File:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                known = self._files[path] = _File(stamp, parse(path.read_bytes(), path))
        except OSError as error:
            raise StorageError(
                f"The lexicon {path} cannot be read ({error.strerror}).",
                "It has to be a text file that this program may read.",
                "Put its rights in order, or move it away.",
            ) from error
        return known


def _stem(path: Path) -> str:
    return path.stem.lower().replace("_", "-")


def parse(data: bytes, path: Path) -> tuple[Entry, ...]:
    """The entries of a file's content.

    Raises:
        BadLexicon: names the file and the line at fault.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise _bad(path, number, f"byte 0x{data[error.start]:02X}", "Save it as UTF-8.") from None
    entries = []
    for number, raw in enumerate(unicodedata.normalize("NFC", text).split("\n"), start=1):
        line = raw.strip()
        if line and not line.startswith("#"):
            entries.append(_entry(line, path, number))
    return tuple(entries)


def _entry(line: str, path: Path, number: int) -> Entry:
    word, equals, sound = line.partition("=")
    exact = sound.startswith("=")
    word, sound = " ".join(word.split()), sound.removeprefix("=").strip()
    if not equals or not word or not sound:
        raise _bad(path, number, repr(line[:80]), "Correct it, or put # before it.")
    if len(word) > _LONGEST_WORD:
        raise _bad(path, number, repr(word[:80]), f"A word has at most {_LONGEST_WORD} characters.")
    if not sound.startswith("/"):
        return Entry(word, respelling=sound, exact=exact)
    ipa = sound[1:-1].strip()
    if not sound.endswith("/") or not ipa or "/" in ipa:
        raise _bad(path, number, repr(sound[:80]), "Put the IPA between two slashes.")
    wrong = _NOT_IPA.search(ipa)
    if wrong:
        raise _bad(path, number, f"{wrong[0]!r} in {sound[:80]!r}", "It is no sign of the IPA.")
    return Entry(word, ipa=ipa, exact=exact)


def _bad(path: Path, line: int, given: str, todo: str) -> BadLexicon:
    return BadLexicon(
        f"{path}, line {line}: {given} cannot be understood.",
        "A line is `word = respelling`, `word = /IPA/`, or a comment that starts with #.",
        todo,
    )


@dataclass(slots=True)
class _Candidates:
    """Entries that start with the same word, by the folded text of all of them."""

    by_text: dict[str, dict[str, Entry]] = field(default_factory=dict)  # exact word or ""
    lengths: list[int] = field(default_factory=list)  # longest first


class Matcher:
    """Finds entries in a text, the longest first, in time linear in the text whatever the number
    of entries: candidates are looked up by the word that they start with."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._heads: dict[str, _Candidates] = {}
        self.has_ipa = False
        for entry in entries:
            folded = _fold(entry.word)
            candidates = self._heads.setdefault(_patterns()[1].findall(folded)[0], _Candidates())
            same = candidates.by_text.setdefault(folded, {})
            same[entry.word if entry.exact else ""] = entry
            self.has_ipa = self.has_ipa or bool(entry.ipa)
        for candidates in self._heads.values():
            candidates.lengths = sorted(set(map(len, candidates.by_text)), reverse=True)

    def find(self, text: str) -> Iterator[tuple[int, int, Entry]]:
        """Start, end and entry of every match, in order, none overlapping."""
        if not self._heads:
            return
        folded = _fold(text)
        done = 0
        for chunk in _patterns()[1].finditer(folded):
            candidates = self._heads.get(chunk[0])
            if candidates is None or chunk.start() < done:
                continue
            for length in candidates.lengths:
                start, end = chunk.start(), chunk.start() + length
                same = candidates.by_text.get(folded[start:end]) if end <= len(text) else None
                entry = same and (same.get(text[start:end]) or same.get(""))
                if entry and _at_word_edges(text, start, end):
                    yield start, end, entry
                    done = end
                    break


def _fold(text: str) -> str:
    """The text in small letters, every character in its place."""
    small = text.lower()
    if len(small) != len(text):
        small = "".join(low if len(low := sign.lower()) == 1 else sign for sign in text)
    return small.translate(_FOLDED)


def _at_word_edges(text: str, start: int, end: int) -> bool:
    inside_start = start > 0 and _in_word(text[start]) and _in_word(text[start - 1])
    inside_end = end < len(text) and _in_word(text[end - 1]) and _in_word(text[end])
    return not inside_start and not inside_end and between_letters(text, end)


def _in_word(sign: str) -> bool:
    """Whether a character needs a word's edge beside it; those of scripts without spaces do not."""
    if _patterns()[0].match(sign):
        return False
    return sign.isalnum() or sign == "_" or unicodedata.category(sign)[0] == "M"
