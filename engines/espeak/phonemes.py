"""IPA → eSpeak NG's phoneme names, which differ from voice to voice.

What a voice can pronounce is asked of the voice itself: it speaks each phoneme of its table once
and names it in IPA.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import BadLexicon

_VOWEL, _CONSONANTS = 2, range(3, 9)  # phoneme types in the file `phontab`
_NAME_BYTES = 8  # a longer IPA name arrives cut off
_NOT_IPA = set('^+"~*')  # of names that the data leaves in the library's own notation
_PROBE = "[[{}]] "
_STRESS = {"ˈ": "'", "ˌ": ","}
_LONG = "ː"
_VOWELS = set("iyɨʉɯuɪʏʊeøɘɵɤoəɛœɜɞʌɔæɐaɶɑɒɚ")

# Other ways to write the same thing, replaced before anything else.
_SPELLINGS = str.maketrans(
    {
        "g": "ɡ",
        ":": _LONG,
        "'": "ˈ",
        "ʧ": "tʃ",
        "ʤ": "dʒ",
        "ʦ": "ts",
        "ʣ": "dz",
        "ʨ": "tɕ",
        "ʥ": "dʑ",
        "ɝ": "ɜ˞",
    }
)
# What says nothing to this synthesiser: syllable dots, ties, links, brackets around the whole.
_SILENT = set(".͜͡‿/[]-‑ˑ")
# Narrow shades of a sound, left out where the voice does not have the shade.
_SHADES = set("ʰʷˠˤ̥̬̪̯̩̚ʲ̞̝̠̟̻̺̹̜̈ᵝ")
# The nearest sounds, in order, where a voice lacks one that others have.
_NEAREST = {
    "əʊ": ("oʊ",),
    "oʊ": ("əʊ", "ɔʊ"),
    "eɪ": ("ɛɪ",),
    "ɜ˞": ("ɚ", "ɜ", "ə"),
    "ɚ": ("əɹ", "ə"),
    "ɜ": ("ɚ", "œ", "ə", "ɛ"),
    "ɹ": ("r", "ɾ", "ʁ"),
    "r": ("ɹ", "ɾ", "ʁ"),
    "ɾ": ("r", "ɹ", "d"),
    "ʁ": ("ʀ", "r", "ɹ"),
    "ʀ": ("ʁ", "r", "ɹ"),
    "ɫ": ("l",),
    "ʋ": ("v",),
    "ɦ": ("h",),
    "x": ("χ", "h", "k"),
    "χ": ("x", "h"),
    "c\u0327": ("x", "ʃ"),
    "ɕ": ("ʃ",),
    "ʑ": ("ʒ",),
    "ʂ": ("ʃ",),
    "ʐ": ("ʒ",),
    "ʍ": ("w",),
    "θ": ("s",),
    "ð": ("z",),
    "ɲ": ("n",),
    "ŋ": ("n",),
    "ʎ": ("l",),
    "ʔ": ("",),
    "h": ("x", ""),
    "w": ("u", "v"),
    "æ": ("a", "ɛ"),
    "a": ("æ", "ɑ"),
    "ɐ": ("ə", "a"),
    "ɑ": ("a", "ɒ"),
    "ɒ": ("ɔ", "ɑ"),
    "ɔ": ("o", "ɒ"),
    "o": ("ɔ", "oʊ"),
    "ʌ": ("ɐ", "a", "ə"),
    "ə": ("ɐ", "ɛ", "e"),
    "e": ("ɛ", "eɪ"),
    "ɛ": ("e", "æ"),
    "ɪ": ("i",),
    "i": ("ɪ",),
    "ᵻ": ("ɪ", "ə"),
    "ɨ": ("ɪ", "i"),
    "ʊ": ("u",),
    "u": ("ʊ", "ɯ"),
    "ɯ": ("u", "ʊ"),
    "y": ("ʏ", "u"),
    "ʏ": ("y", "ʊ"),
    "ø": ("œ", "ɜ"),
    "œ": ("ø", "ɜ"),
}


@dataclass(frozen=True)
class Inventory:
    """What a voice can pronounce.

    Attributes:
        names: IPA (decomposed) → eSpeak NG's name.
    """

    names: dict[str, str]

    def mnemonics(self, ipa: str) -> str:
        """What to put between `[[` and `]]`.

        Raises:
            BadLexicon: names the symbol that the voice cannot pronounce.
        """
        words = [self._word(word, ipa) for word in _decomposed(ipa).split()]
        if not any(words):
            raise BadLexicon(
                f"The pronunciation {ipa!r:.80} holds no sound.",
                "It has to be IPA, such as həˈloʊ.",
                "Change it in the lexicon.",
            )
        return " ".join(words)

    def _word(self, word: str, ipa: str) -> str:
        spoken: list[str] = []
        stress, symbol = "", ""
        while word:
            before = symbol
            symbol, name = self._longest(word)
            if name is not None:
                spoken += [stress + name] if name else []
                stress = ""
            elif symbol in _STRESS:
                stress = _STRESS[symbol]
            elif symbol == _LONG and spoken:
                # the voice has no long kind of it: a consonant is doubled, a vowel stays short
                spoken += [] if before[:1] in _VOWELS else spoken[-1:]
            elif symbol not in _SHADES:
                raise self._unknown(symbol, ipa)
            word = word[len(symbol) :]
        return "|".join(spoken)  # the bar keeps t and S from being read as the one sound tS

    def _longest(self, word: str) -> tuple[str, str | None]:
        """The longest beginning of a word that is one sound, and its name."""
        for size in range(min(len(word), 6), 0, -1):
            if (name := self._name(word[:size])) is not None:
                return word[:size], name
        return word[:1], None

    def _name(self, sound: str) -> str | None:
        if sound in self.names:
            return self.names[sound]
        if sound + _LONG in self.names:
            return self.names[sound + _LONG]
        for near in _NEAREST.get(sound, ()):
            parts = [near] if near in self.names or near + _LONG in self.names else list(near)
            names = [self.names.get(part, self.names.get(part + _LONG)) for part in parts]
            if None not in names:
                return "|".join(filter(None, names))
        return None

    def _unknown(self, symbol: str, ipa: str) -> BadLexicon:
        return BadLexicon(
            f"The pronunciation {ipa!r:.80} holds {symbol!r} (U+{ord(symbol):04X}), "
            "which this voice of eSpeak NG cannot pronounce.",
            f"It knows {' '.join(sorted(self.names))}, and the marks ˈ ˌ ː.",
            "Change the pronunciation in the lexicon.",
        )


def read_tables(phontab: Path) -> dict[str, dict[str, int]]:
    """Phoneme names and types by table, from eSpeak NG's data file.

    A file holds: the number of tables; for each, its size, the number of the table it extends
    (from 1), two bytes of padding and its name; then its phonemes, 16 bytes each.
    """
    data = phontab.read_bytes()
    head, entry = struct.Struct("<BBxx32s"), struct.Struct("<4s4xxxBB4x")
    tables: dict[str, dict[int, tuple[str, int]]] = {}
    order: list[str] = []
    at = 4
    for _ in range(struct.unpack_from("<I", data)[0]):
        count, extends, raw_name = head.unpack_from(data, at)
        at += head.size
        table = dict(tables[order[extends - 1]]) if extends else {}
        for _ in range(count):
            raw, code, kind = entry.unpack_from(data, at)
            table[code] = (raw.partition(b"\0")[0].decode("latin-1"), kind)
            at += entry.size
        order.append(raw_name.partition(b"\0")[0].decode())
        tables[order[-1]] = table
    return {name: dict(table.values()) for name, table in tables.items()}


def take_stock(
    tables: dict[str, dict[str, int]],
    candidates: Sequence[str],
    named: Callable[[str], Sequence[str]],
) -> Inventory:
    """Ask a voice for its sounds.

    Args:
        tables: of `read_tables`.
        candidates: names that the voice's table may have; the first that exists is taken.
        named: speaks a text with phonemes and gives the names in IPA, with `|position` where a
            word begins.
    """
    table = next(tables[name] for name in candidates if name in tables)
    vowel = next(name for name in ("a", "A", "e", "i", "@") if table.get(name) == _VOWEL)
    # plain names before those of special uses, which mostly sound the same
    plain_first = sorted(
        table, key=lambda name: (sum(c in "#/0123456789" for c in name), len(name))
    )
    probes: dict[int, str] = {}
    text = ""
    for name in plain_first:
        kind = table[name]
        if kind == _VOWEL or kind in _CONSONANTS:
            probes[len(text)] = name
            text += _PROBE.format(f"p'{name}p" if kind == _VOWEL else f"{name}'{vowel}")
    names: dict[str, str] = {}
    for at, heard in _words(named(text)):
        if at not in probes:
            continue
        name = probes[at]
        index, expected = (1, 3) if table[name] == _VOWEL else (0, 2)
        if len(heard) == expected and len(heard[index].encode()) < _NAME_BYTES:
            ipa = _decomposed(heard[index].strip("ˈˌ"))
            if not set(ipa) & _NOT_IPA:
                names.setdefault(ipa, name)
    for ipa, name in list(names.items()):  # ä is the only a of some languages
        names.setdefault("".join(c for c in ipa if c not in _SHADES), name)
    if "r" in names.values():
        names["r"] = "r"  # a broad transcription means the usual r of the language
    return Inventory(names)


def _words(names: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Names by word, each with the offset of its brackets; pauses and language marks left out."""
    words: list[tuple[int, list[str]]] = []
    for name in names:
        if name.startswith("|"):
            words.append((int(name[1:]) - 1 - len("[["), []))
        elif words and name and not name.startswith("("):
            words[-1][1].append(name)
    return words


def _decomposed(ipa: str) -> str:
    decomposed = unicodedata.normalize("NFD", ipa).translate(_SPELLINGS)
    return "".join(c for c in decomposed if c not in _SILENT)
