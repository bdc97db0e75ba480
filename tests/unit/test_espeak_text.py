"""Marking of phonemes, IPA, word times and stretching, without the library."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.api import Span
from engines.errors import BadLexicon
from engines.espeak.config import EspeakControls, derive
from engines.espeak.marking import Marked, mark
from engines.espeak.phonemes import Inventory, read_tables, take_stock
from engines.espeak.stretch import Stretcher
from engines.espeak.words import WordClock

ENGLISH = Inventory(
    {
        "ə": "@", "ɛ": "E", "ɪ": "I", "oʊ": "oU", "iː": "i:", "ɑː": "A:", "æ": "a", "ɹ": "r",
        "r": "r", "h": "h", "l": "l", "t": "t", "ʃ": "S", "tʃ": "tS", "n": "n", "ɡ": "g", "k": "k",
        "n̩": "n-", "ɑ̃": "A~", "c\u0327": "C",
    }
)  # fmt: skip


def plain(ipa: str) -> str:
    return f"<{ipa}>"


# marking


def test_positions_lead_back_to_the_spoken_text() -> None:
    marked = mark([Span("a", "one "), Span("b", "two", ipa="t"), Span("c", " three")], plain)
    assert marked.text == "one [[<t>]] three" and marked.has_phonemes
    assert marked.locate(0, 3) == (0, 3)
    for inside in range(marked.text.index("[["), marked.text.index("]]") + 2):
        assert marked.locate(inside, 1) == (4, 7)
    assert marked.locate(marked.text.index("three"), 5) == (8, 13)
    assert marked.locate(len(marked.text) + 5, 1) == (12, 13)  # beyond the end


def test_phonemes_are_set_off_from_letters() -> None:
    marked = mark([Span("x", "(", None), Span("y", "y", ipa="i"), Span("z", ")")], plain)
    assert marked.text == "( [[<i>]])"
    assert len(marked.origin) == len(marked.text)


@given(st.lists(st.text(st.sampled_from("a[ ]\x01\x00é😀"), max_size=6), max_size=5))
def test_text_never_becomes_a_mark(pieces: list[str]) -> None:
    marked = mark([Span(piece, piece) for piece in pieces], plain)
    assert "[[" not in marked.text and not marked.has_phonemes
    assert len(marked.text) == len("".join(pieces)) == len(marked.origin)
    assert all(character.isprintable() for character in marked.text)


# IPA


@pytest.mark.parametrize(
    ("ipa", "mnemonics"),
    [
        ("həˈloʊ", "h|@|'l|oU"),
        ("ˈtʃɛk", "'tS|E|k"),
        ("t͡ʃɛk", "tS|E|k"),
        ("ʧɛk", "tS|E|k"),
        ("/ˈtɪk.ət/", "'t|I|k|@|t"),
        ("kat", "k|a|t"),  # a stands for the near æ
        ("kɑt", "k|A:|t"),  # there is only a long one
        ("ɡɛːt", "g|E|t"),  # there is only a short one
        ("gɛt", "g|E|t"),
        ("ɛtːə", "E|t|t|@"),
        ("tʰɪk", "t|I|k"),
        ("həˌloʊ tɪk", "h|@|,l|oU t|I|k"),
        ("ɑ̃", "A~"),
        ("\u00e7", "C"),
        ("ɪn̩", "I|n-"),
        ("ʔɪ", "I"),
    ],
)
def test_ipa_becomes_mnemonics(ipa: str, mnemonics: str) -> None:
    assert ENGLISH.mnemonics(ipa) == mnemonics


@pytest.mark.parametrize("ipa", ["hɛʘ", "5", "hɛ\N{COMBINING TILDE}\N{COMBINING TILDE}", "ʕ", "🙂"])
def test_unknown_symbol_is_named(ipa: str) -> None:
    with pytest.raises(BadLexicon) as caught:
        ENGLISH.mnemonics(ipa)
    assert any(f"{character!r} (U+{ord(character):04X})" in str(caught.value) for character in ipa)


@pytest.mark.parametrize("ipa", ["", "  ", "ˈ", ".", "ʰ"])
def test_ipa_without_a_sound_is_refused(ipa: str) -> None:
    with pytest.raises(BadLexicon, match="no sound"):
        ENGLISH.mnemonics(ipa)


@given(st.text(max_size=12))
def test_any_ipa_is_either_refused_or_safe_to_send(ipa: str) -> None:
    try:
        mnemonics = ENGLISH.mnemonics(ipa)
    except BadLexicon:
        return
    assert mnemonics.strip() and "]" not in mnemonics and "[" not in mnemonics
    assert mnemonics.isascii()


def _table(name: str, extends: int, phonemes: list[tuple[str, int, int]]) -> bytes:
    head = struct.pack("<BBxx32s", len(phonemes), extends, name.encode())
    return head + b"".join(
        struct.pack("<4s4x2xBB4x", mnemonic.encode(), code, kind)
        for mnemonic, code, kind in phonemes
    )


def test_phoneme_tables_extend_one_another(tmp_path: Path) -> None:
    base = _table("base", 0, [("a", 10, 2), ("t", 11, 4)])
    other = _table("xx", 1, [("E", 10, 2), ("tS", 12, 4)])
    (tmp_path / "phontab").write_bytes(struct.pack("<I", 2) + base + other)
    assert read_tables(tmp_path / "phontab") == {
        "base": {"a": 2, "t": 4},
        "xx": {"E": 2, "t": 4, "tS": 4},
    }


def test_stock_is_taken_of_what_is_heard() -> None:
    table = {"a": 2, "E": 2, "e#": 2, "t": 4, "T^": 4, "_": 0, "%": 1}
    heard = {
        "p'ap": ["p", "ˈa", "p"],
        "p'Ep": ["p", "ˈɛ", "p"],
        "p'e#p": ["p", "ˈɛ", "p"],  # the same sound under a special name
        "t'a": ["t", "ˈa"],
        "T^'a": ["T", "ˈa", "x"],  # not understood
    }

    def named(text: str) -> list[str]:
        names = []
        for probe, sounds in heard.items():
            names += [f"|{text.index(f'[[{probe}]]') + 3}", *sounds, ""]
        return names

    inventory = take_stock({"xx": table}, ("missing", "xx"), named)
    assert inventory.names == {"a": "a", "ɛ": "E", "t": "t"}


# word times


def _words(spoken: str, events: list[tuple[int, int, int]], ends: float) -> list[tuple]:
    marked = mark([Span(spoken, spoken)], plain)
    clock = WordClock(spoken, marked, seconds_per_sample=0.1)
    words = [*clock.words(events), *clock.finish(ends)]
    return [(w.start, w.end, spoken[w.position : w.position + w.length]) for w in words]


@pytest.mark.parametrize(
    ("spoken", "events", "expected"),
    [
        ("don't go", [(1, 3, 0), (7, 2, 10)], [(0, 1, "don't"), (1, 2, "go")]),
        ("12,5 x", [(1, 3, 0), (2, 3, 4), (6, 1, 10)], [(0, 1, "12,5"), (1, 2, "x")]),
        ("“hi” x", [(1, 0, 0), (6, 1, 10)], [(0, 1, "hi"), (1, 2, "x")]),
        ("on it", [(1, 2, 0)], [(0, 1, "on"), (1, 2, "it")]),
        ("5 %", [(1, 1, 0), (3, 1, 10)], [(0, 1, "5"), (1, 2, "%")]),
        ("a   b", [(1, 1, 0), (3, 1, 5), (5, 1, 10)], [(0, 0.5, "a"), (1, 2, "b")]),
        ("हिन्दी है", [(1, 3, 0), (8, 1, 10)], [(0, 1, "हिन्दी"), (1, 2, "है")]),
        ("late", [(1, 4, 50)], [(2, 2, "late")]),  # never after the end of the audio
        ("", [], []),
    ],
)
def test_word_times(spoken: str, events: list, expected: list) -> None:
    found = _words(spoken, events, ends=2.0)
    assert [word for _, _, word in found] == [word for _, _, word in expected]
    for (start, end, _), (wanted_start, wanted_end, _) in zip(found, expected, strict=True):
        assert (start, end) == pytest.approx((wanted_start, wanted_end))


@given(
    st.text(st.sampled_from("ab 1,'😀न् "), max_size=12),
    st.lists(st.tuples(st.integers(1, 16), st.integers(0, 9)), max_size=8),
)
def test_any_events_give_ordered_words(spoken: str, places: list[tuple[int, int]]) -> None:
    events = [(at, size, 3 * i) for i, (at, size) in enumerate(places)] if spoken else []
    reached, clock = 0.0, 0
    marked = mark([Span(spoken, spoken)], plain)
    words = WordClock(spoken, marked, 0.1)
    for word in [*words.words(events), *words.finish(9.0)]:
        assert reached <= word.start + 1e-9 and word.start <= word.end <= 9.0
        assert clock <= word.position and word.length > 0
        assert word.position + word.length <= len(spoken)
        reached, clock = word.end, word.position + word.length


def test_marked_is_empty_for_no_text() -> None:
    assert mark([], plain) == Marked()


# settings


@given(st.floats(0.25, 4.0), st.integers(80, 450), st.integers(0, 99), st.integers(0, 2**32 - 1))
def test_derived_settings_are_within_the_librarys_limits(
    speed: float, rate: int, pitch: int, seed: int
) -> None:
    controls = EspeakControls(speed=speed, rate=rate, pitch=pitch, variation=1.0)
    settings, stretch = derive(controls, seed, 3)
    assert 80 <= settings.rate <= 449 and 0 <= settings.pitch <= 99
    assert 0 <= settings.pitch_range <= 99 and 0 < settings.noise < 2**31
    pace = settings.rate / stretch
    assert pace == pytest.approx(speed * rate, rel=0.13, abs=1)
    assert derive(controls, seed, 3) == (settings, stretch)


# stretching


@pytest.mark.parametrize("factor", [0.25, 0.6, 0.999, 1.3, 2.2])
@pytest.mark.parametrize("block", [100, 4411, 100_000])
def test_stretched_tone_keeps_its_pitch_and_level(factor: float, block: int) -> None:
    rate, frequency = 22050, 150.0
    tone = np.sin(2 * np.pi * frequency * np.arange(2 * rate) / rate).astype(np.float32)
    stretcher = Stretcher(factor)
    pieces = [stretcher.push(tone[i : i + block]) for i in range(0, tone.size, block)]
    output = np.concatenate([*pieces, stretcher.finish()])
    assert output.dtype == np.float32
    assert output.size == round(tone.size * factor)
    inner = output[1000:-1000]
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(inner.size)))
    peak = np.argmax(spectrum) * rate / inner.size
    assert peak == pytest.approx(frequency, abs=5)
    assert np.abs(inner).max() < 1.05
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(np.sqrt(0.5), rel=0.05)


def test_stretching_does_not_depend_on_the_blocks() -> None:
    noise = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    outputs = []
    for block in (9000, 700):
        stretcher = Stretcher(1.7)
        pieces = [stretcher.push(noise[i : i + block]) for i in range(0, 9000, block)]
        outputs.append(np.concatenate([*pieces, stretcher.finish()]))
    assert np.array_equal(*outputs)


@given(st.integers(0, 3000), st.floats(0.2, 2.5))
def test_short_sounds_are_stretched_to_length(size: int, factor: float) -> None:
    stretcher = Stretcher(factor)
    output = [stretcher.push(np.ones(size, np.float32)), stretcher.finish()]
    assert sum(piece.size for piece in output) == round(size * factor)
