"""`[pause …]` and the silence of punctuation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadText
from engines.text import pauses


@pytest.mark.parametrize(
    ("mark", "seconds"),
    [
        ("[pause]", 0.5),
        ("[pause 0.5s]", 0.5),
        ("[pause 500ms]", 0.5),
        ("[pause 2 s]", 2.0),
        ("[Pause 1S]", 1.0),
        ("[ pause  30s ]", 30.0),
        ("[pause 0s]", 0.0),
        ("[pause 30000ms]", 30.0),
    ],
)
def test_well_formed(mark: str, seconds: float) -> None:
    text = f"one {mark} two"
    (found,) = pauses.marks(text)
    assert (found.start, found.end, found.seconds) == (4, 4 + len(mark), seconds)
    assert pauses.without_marks(text).split() == ["one", "two"]


@pytest.mark.parametrize(
    "mark",
    [
        "[pause banana]",
        "[pause 1]",
        "[pause s]",
        "[pause -1s]",
        "[pause 31s]",
        "[pause 1e3s]",
        "[pause 30001ms]",
        "[pause 1,5s]",
        "[pause: 1s]",
        "[pause 1s",
        "[pause",
        "[pause 1s\n]",
        "[pause nan s]",
        "[pause " + "9" * 500 + "s]",
    ],
)
def test_malformed_says_what_is_allowed(mark: str) -> None:
    with pytest.raises(BadText, match=r"\[pause 500ms\].*0 to 30 seconds") as caught:
        pauses.check_marks(f"Hello {mark}")
    assert "position 6" in caught.value.given


@pytest.mark.parametrize("text", ["[pauses]", "[paused]", "pause 5s", "(pause)", "[a pause]", "["])
def test_ordinary_text_is_no_mark(text: str) -> None:
    assert list(pauses.marks(text)) == []


def test_all_pauses_of_a_text_together_are_limited() -> None:
    pauses.check_marks("a [pause 30s]" * 120)
    with pytest.raises(BadText, match="3,630 s together"):
        pauses.check_marks("a [pause 30s]" * 121)


@pytest.mark.parametrize(
    ("source", "seconds"),
    [
        ("He left.", pauses.SENTENCE),
        ("Really?”", pauses.SENTENCE),
        ("Yes!) ", pauses.SENTENCE),
        ("好。", pauses.SENTENCE),
        ("یہ ہے۔", pauses.SENTENCE),
        ("Wait…", pauses.ELLIPSIS),
        ("Wait...", pauses.ELLIPSIS),
        ("first,", pauses.CLAUSE),
        ("first —", pauses.CLAUSE),
        ("第一，", pauses.CLAUSE),
        ("a word", 0.0),
        ("", 0.0),
    ],
)
def test_punctuation(source: str, seconds: float) -> None:
    assert pauses.by_punctuation(source) == seconds


@settings(deadline=None)
@given(st.text(st.sampled_from("[] pause0.5ms\nA")))
def test_any_text_has_marks_or_is_refused(text: str) -> None:
    try:
        found = list(pauses.marks(text))
    except BadText:
        return
    assert all(0 <= mark.seconds <= pauses.LONGEST_PAUSE for mark in found)
    assert all(text[mark.start] == "[" and text[mark.end - 1] == "]" for mark in found)
