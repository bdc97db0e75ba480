"""The whole front end: text in, utterances out, one at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.api import Capability, Span, Utterance
from engines.errors import BadLexicon, BadText
from engines.text import Lexicon, clean, utterances
from engines.text import split as splitting

ENGINE = Capability("fake", "Fake", "", 16000, "", ())
EMPTY = Lexicon.empty()


def run(
    text: str, language: str = "en", capability: Capability = ENGINE, lexicon: Lexicon = EMPTY
) -> list[Utterance]:
    return list(utterances(text, language, lexicon=lexicon, capability=capability))


def test_sentences_with_their_pauses_and_places() -> None:
    text = "Dr. Smith paid $5. “Why?” he asked…\n\nNobody knew\nIt was late"
    found = run(text)
    assert [u.source for u in found] == [
        "Dr. Smith paid $5.",
        "“Why?” he asked…",
        "Nobody knew",
        "It was late",
    ]
    assert found[0].spoken == "Doctor Smith paid five dollars."
    assert [u.pause_after for u in found] == [0.35, 0.7, 0.35, 0.0]
    assert [u.index for u in found] == [0, 1, 2, 3]
    assert [u.joined for u in found] == [False] * 4
    assert all(text[u.start :].startswith(u.source) for u in found)
    assert all(u.language == "en" for u in found)


def test_a_pause_stands_for_that_of_punctuation_and_several_add_up() -> None:
    found = run("One. [pause 2s] Two [pause] [pause 100ms]\n[pause 0.4s] three.[pause 0s]Four.")
    assert [(u.source, u.pause_after, u.joined) for u in found] == [
        ("One.", 2.0, False),
        ("Two", 1.0, False),
        ("three.", 0.0, True),
        ("Four.", 0.0, False),
    ]


def test_pauses_at_both_ends() -> None:
    first, second = run(" [pause 1s][pause 250ms] Hello. [pause 3s] \n")
    assert first == Utterance((), "en", 1.25, 0, 1)
    assert (second.source, second.pause_after, second.index) == ("Hello.", 3.0, 1)


def test_a_malformed_pause_is_refused_when_it_is_reached() -> None:
    found = utterances("One. [pause x] Two.", "en", lexicon=EMPTY, capability=ENGINE)
    with pytest.raises(BadText, match="pause x"):
        list(found)


def test_what_cannot_be_spoken_is_a_pause() -> None:
    found = run("One.\n\n* * *\n\nTwo. — !")
    assert [(u.source, u.spoken, u.pause_after) for u in found] == [
        ("One.", "One.", 0.7),
        ("* * *", "", 0.7),
        ("Two.", "Two.", 0.35),
        ("— !", "", 0.0),
    ]


@pytest.mark.parametrize("mark", ["- ", "* ", "• ", "## ", "> ", "– "])
def test_marks_before_a_line_are_not_read_out(mark: str) -> None:
    found = run(f"Title\n  {mark}first\n{mark}second {mark}third")
    assert [u.spoken for u in found] == ["Title", "first", f"second {mark}third"]
    assert found[1].source == f"{mark}first"


def test_an_over_long_sentence_is_cut_at_its_clauses() -> None:
    found = run(
        "It cost $1,234.50, which was far too much; he paid, of course, and left. Bye.",
        capability=replace(ENGINE, max_chars=80),
    )
    assert [u.source for u in found] == [
        "It cost $1,234.50,",
        "which was far too much; he paid, of course, and left.",
        "Bye.",
    ]
    assert [u.joined for u in found] == [False, True, False]
    assert [u.pause_after for u in found] == [0.12, 0.35, 0.0]
    assert [u.start for u in found] == [0, 19, 73]


def test_the_lexicon_comes_before_everything_else(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("Dr. = drive\n3D = three dee\nkm = clicks\nEcho = /ˈɛkoʊ/\n")
    lexicon = Lexicon.load(tmp_path)
    (deaf,) = run("Dr. Echo: 3D, 5 km", lexicon=lexicon)
    assert deaf.spoken == "drive Echo: three dee, five clicks"
    (hears,) = run("Echo 5", capability=replace(ENGINE, phonemes="ipa"), lexicon=lexicon)
    assert hears.spans == (Span("Echo", "Echo", "ˈɛkoʊ"), Span(" ", " "), Span("5", "five"))
    assert run("Dr. 3D", "de", lexicon=lexicon)[0].spoken == "Doktor drei D"


def test_a_broken_lexicon_is_told_at_the_next_request(tmp_path: Path) -> None:
    lexicon = Lexicon.load(tmp_path)
    (tmp_path / "en.txt").write_text("broken")
    with pytest.raises(BadLexicon, match=r"en\.txt, line 1"):
        next(utterances("Hello", "en", lexicon=lexicon, capability=ENGINE))
    assert run("Hallo", "de", lexicon=lexicon)


def test_languages_that_nothing_covers_keep_their_digits() -> None:
    (found,) = run("यह 5 है।", "hi")
    assert found.spoken == "यह 5 है।"


def test_scripts_without_spaces_are_cut_all_the_same() -> None:
    for text in ("今天天气很好" * 40, "ฉันชอบกินข้าวผัดกับไข่ดาว" * 10):
        found = run(text, "zh", replace(ENGINE, max_chars=60))
        assert "".join(u.source for u in found) == text
        assert max(len(u.spoken) for u in found) <= 60
        assert min(len(u.spoken) for u in found) > 30


TEXTS = {
    "paragraphs": "It was late. Nobody, e.g. Dr. Smith, had $5.\n\n" * 2200,
    "one paragraph": "It was late. Nobody, e.g. Dr. Smith, had $5. " * 2200,
    "one sentence": "and so it went on, and on; " * 4000,
    "one word": "a" * 100_000,
    "digits": "1" * 100_000,
    "lines": "a\n" * 50_000,
    "spaces": " " * 100_000 + "a",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_first_utterance_needs_no_more_than_two_windows(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts characters that are split and read, not seconds."""
    looked_at = 0
    real = splitting._window_sentences

    def counting(text: str, start: int, stop: int, language: str) -> Iterator[tuple[int, int]]:
        nonlocal looked_at
        looked_at += stop - start
        return real(text, start, stop, language)

    monkeypatch.setattr(splitting, "_window_sentences", counting)
    found = utterances(text, "en", lexicon=EMPTY, capability=ENGINE)
    assert next(found).spoken
    assert looked_at <= 2 * splitting.WINDOW
    list(itertools.islice(found, 10))
    assert looked_at <= 11 * 2 * splitting.WINDOW < len(text) / 2


SIGNS = "aB9 .,;:!?…-—\"')(\n[]é\u0301東。ัा٣$%km"


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.text(st.sampled_from(SIGNS), max_size=80),
            st.sampled_from(["[pause]", "[pause 2s]", "\n\n", "Dr. ", "$5.30", "2026-11-21", " "]),
        ),
        max_size=12,
    ).map("".join),
    st.sampled_from(["en", "de", "ru", "ar", "hi", "th", "xx"]),
    st.integers(60, 400),
)
def test_every_character_is_in_one_source(text: str, language: str, limit: int) -> None:
    try:
        text, _ = clean(text)
    except BadText:
        return
    found = run(text, language, replace(ENGINE, max_chars=limit))
    covered = list(text)
    position = 0
    for index, utterance in enumerate(found):
        assert utterance.index == index
        assert position <= utterance.start
        position = utterance.start + len(utterance.source)
        assert text[utterance.start : position] == utterance.source
        covered[utterance.start : position] = [""] * len(utterance.source)
        assert len(utterance.spoken) <= limit
        assert utterance.pause_after >= 0
    left = "".join(covered)
    assert not left.replace("[pause]", "").replace("[pause 2s]", "").strip()


@settings(deadline=None, max_examples=150)
@given(
    st.text(st.characters(), max_size=150),
    st.sampled_from(["en", "de", "fr", "zh", "ja", "ko", "ar", "th", "xx", "", "-", "en_US_posix"]),
)
def test_any_text_is_read_or_refused(text: str, language: str) -> None:
    try:
        cleaned, _ = clean(text)
    except BadText:
        return
    found = run(cleaned, language)
    assert any(utterance.spoken for utterance in found)
