"""From spoken words to written ones."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from engines.api import Span, Utterance, WordTime
from studio.words import source_words


def spoken_words(utterance: Utterance) -> list[WordTime]:
    """Each spoken word a tenth of a second."""
    found = []
    cursor = 0
    for number, word in enumerate(utterance.spoken.split()):
        position = utterance.spoken.index(word, cursor)
        cursor = position + len(word)
        found.append(WordTime(number / 10, (number + 1) / 10, position, len(word)))
    return found


def texts(*spans: tuple[str, str]) -> list[str]:
    utterance = Utterance(tuple(Span(source, spoken) for source, spoken in spans), "en")
    return [text for text, _, _ in source_words(utterance, spoken_words(utterance))]


def test_plain_words_stay():
    assert texts(("Hello there world", "Hello there world")) == ["Hello", "there", "world"]


def test_a_number_in_words_is_one_word():
    assert texts(("in ", "in "), ("1,234", "one thousand two hundred thirty-four")) == [
        "in",
        "1,234",
    ]


def test_two_numbers_side_by_side_stay_two():
    assert texts(("12", "twelve"), (" ", " "), ("34", "thirty-four")) == ["12", "34"]


def test_a_word_that_runs_over_a_span_takes_both():
    assert texts(("3", "three"), ("rd", "rd"), (" time", " time")) == ["3rd", "time"]


def test_what_is_spoken_but_not_written_belongs_to_no_word():
    assert texts(("a ", "a "), ("", "silent "), ("b", "b")) == ["a", "b"]


def test_positions_outside_the_text_are_ignored():
    utterance = Utterance((Span("word", "word"),), "en")
    assert source_words(utterance, [WordTime(0, 1, 7, 3), WordTime(0, 1, 2, 0)]) == []


@given(
    st.lists(
        st.one_of(
            st.text("ab ", max_size=6).map(lambda text: (text, text)),
            st.tuples(st.text("12 ", max_size=4), st.text("xy ", max_size=8)),
        ),
        max_size=6,
    )
)
def test_words_come_in_order_and_out_of_the_source(spans):
    utterance = Utterance(tuple(Span(source, spoken) for source, spoken in spans), "en")
    words = source_words(utterance, spoken_words(utterance))
    cursor = 0
    for text, start, end in words:
        assert text
        cursor = utterance.source.index(text, cursor) + len(text)
        assert start < end
    assert all(a[2] <= b[1] + 1e-9 for a, b in itertools.pairwise(words))
