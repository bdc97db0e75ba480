"""What is kept, what goes, and what is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadText
from engines.text import clean


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("plain", "plain"),
        ("\ufeffHello", "Hello"),
        ("a\r\nb\rc\x0bd\x85e\u2028f", "a\nb\nc\nd\ne\nf"),
        ("one\u2029two", "one\n\ntwo"),
        ("tab\there", "tab here"),
        ("so\u00adft hy\u200bphen", "soft hyphen"),
        ("e\u0301te\u0301", "été"),
        ("שלום \u202bעולם\u202c", "שלום עולם"),
        ("مرحبا hello мир", "مرحبا hello мир"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # spelling in Persian
        ("क्\u200dष", "क्\u200dष"),  # spelling in Hindi
        ("Auf\u200clage", "Auflage"),  # typography in German
        ("5\ufe0f\u20e3 stars", "5 stars"),
        ("fl\ufb01", "fl\ufb01"),  # NFC, not NFKC
        ("1\u00a0000", "1\u00a0000"),  # parts thousands
        ("©2026 ™ → ½", "©2026 ™ → ½"),
    ],
)
def test_kept_and_changed(given_text: str, expected: str) -> None:
    assert clean(given_text) == (expected, ())


@pytest.mark.parametrize(
    ("given_text", "expected", "note"),
    [
        ("Hi 😀!", "Hi !", "1 emoji"),
        ("Hi 👩‍👩‍👧 and 🇩🇪 ok", "Hi  and  ok", "5 emoji"),
        ("I ❤️ you ☺", "I  you ", "2 emoji"),
        ("a\x00b\x1b[0m", "ab[0m", "2 control characters"),
        ("a\x7fb", "ab", "1 control character."),
        ("a\ufffdb\ue000", "ab", "2 unreadable characters"),
        ("z" + "\u0316" * 100, "z" + "\u0316" * 30, "70 accents"),
    ],
)
def test_what_is_left_out_is_said(given_text: str, expected: str, note: str) -> None:
    text, notes = clean(given_text)
    assert text == expected
    assert len(notes) == 1
    assert note in notes[0]


@pytest.mark.parametrize(
    ("given_text", "says"),
    [
        ("", "empty"),
        (" \n\t ", "spaces"),
        ("😀🎉", "emoji"),
        ("?!… —", "punctuation"),
        ("\x00\x01", "control characters"),
        ("\u200b\ufeff", "invisible characters"),
        ("\ue000", "unreadable characters"),
        ("[pause 1s]", "pauses"),
        ("+ = €", "signs"),
        ("half \ud83d of a pair", "U+D83D"),
        ("\udfff", "U+DFFF"),
        ("Hello [pause banana]", "banana"),
    ],
)
def test_refused_with_what_was_given_and_what_is_allowed(given_text: str, says: str) -> None:
    with pytest.raises(BadText) as caught:
        clean(given_text)
    assert says in caught.value.given
    assert caught.value.allowed
    assert caught.value.todo
    assert caught.value.param == "text"
    str(caught.value).encode()  # a message that cannot be sent helps nobody


def test_piled_accents_take_no_quadratic_time() -> None:
    # Composing this pile takes hours when it is not thinned out first.
    text, _ = clean("a" + "\u0316\u0301" * 200_000 + " b")
    assert unicodedata.normalize("NFD", text)[0] == "a"
    assert text.endswith(" b")
    assert len(text) < 40


def test_five_megabytes() -> None:
    text = "Hello wörld, it is a fine day. 😀\t\x00. " * 145_000
    cleaned, notes = clean(text)
    assert cleaned.count("wörld") == 145_000
    assert [note.split()[2] for note in notes] == ["145,000", "145,000"]


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_is_cleaned_or_refused(text: str) -> None:
    try:
        cleaned, _ = clean(text)
    except BadText:
        return
    assert clean(cleaned) == (cleaned, ())
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(sign) in ("Cc", "Cs") and sign != "\n" for sign in cleaned)


@settings(deadline=None)
@given(
    st.text(st.sampled_from("aé\u0301\u0316\u093c\u0958\u200d\u200c\ufe0f▶©5\u20e3🇩👩\r\n\u115f한"))
)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    try:
        cleaned, _ = clean("a" + text)
    except BadText:
        return
    assert clean(cleaned) == (cleaned, ())
