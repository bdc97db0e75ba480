"""Sentences out of a text that comes in parts."""

import random

import pytest

from server.wyoming.incoming import IncomingText

TEXT = (
    "Dr. Smith paid 3.50 for it. Was it worth it?  He thought so, e.g. for lunch.\n\n"
    "A new paragraph! [pause 1.5s] And the end"
)


def spoken(parts: list[str]) -> list[str]:
    incoming, found = IncomingText("en-US"), []
    for part in parts:
        incoming.add(part)
        found.append(incoming.take_sentences())
    return [part for part in (*found, incoming.take_rest()) if part.strip()]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_wherever_it_is_cut(seed) -> None:
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(TEXT)), 12))
    parts = [TEXT[a:b] for a, b in zip([0, *cuts], [*cuts, len(TEXT)], strict=True)]
    assert "".join(spoken(parts)) == TEXT


def test_letter_by_letter_gives_whole_sentences() -> None:
    assert [part.strip() for part in spoken(list(TEXT))] == [
        "Dr. Smith paid 3.50 for it.",
        "Was it worth it?",
        "He thought so, e.g. for lunch.",
        "A new paragraph!",
        "[pause 1.5s] And the end",
    ]


def test_a_sentence_waits_for_what_follows() -> None:
    incoming = IncomingText("en")
    incoming.add("It costs 3.")
    assert incoming.take_sentences() == ""
    incoming.add("50 euros. Not")
    assert incoming.take_sentences().strip() == "It costs 3.50 euros."
    assert incoming.take_sentences() == ""
    assert incoming.take_rest() == "Not"
    assert incoming.take_rest() == ""


def test_a_text_without_an_end_is_not_kept_for_ever() -> None:
    incoming = IncomingText("en")
    for _ in range(2000):
        incoming.add("word ")
    assert len(incoming.take_sentences()) > 5000
