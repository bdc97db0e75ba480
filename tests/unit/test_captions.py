"""SRT and WebVTT: valid whatever is spoken, and readable."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.captions import LINE_WIDTH, LONGEST_CUE, to_srt, to_vtt
from studio.jobs import CaptionWord, SentenceTiming

SRT_TIME = r"(\d\d+):([0-5]\d):([0-5]\d),(\d{3})"
VTT_TIME = SRT_TIME.replace(",", r"\.")
LONG = (
    "Oh, what a day; and then he went on and on, telling everyone about the long journey across "
    "the sea, until everyone in the room had fallen asleep."
)
SPOKEN = "他说：“今天天气很好，我们去公园散步吧！”"
CHINESE = SPOKEN + "然后大家都高兴地出发了，一路上有说有笑，直到傍晚才回家。"


def sentence(text: str, start: float = 0, end: float = 3, words: tuple = ()) -> SentenceTiming:
    return SentenceTiming(0, text, start, end, tuple(CaptionWord(*word) for word in words))


def seconds(match: re.Match[str], first: int) -> float:
    hours, minutes, rest, thousandths = (int(match[first + i]) for i in range(4))
    return hours * 3600 + minutes * 60 + rest + thousandths / 1000


def cues(captions: str) -> list[tuple[float, float, list[str]]]:
    """Read SRT or VTT strictly."""
    time = VTT_TIME if captions.startswith("WEBVTT") else SRT_TIME
    blocks = captions.rstrip("\n").split("\n\n") if captions.strip() else []
    if captions.startswith("WEBVTT"):
        assert blocks.pop(0) == "WEBVTT"
    found = []
    for number, block in enumerate(blocks, 1):
        lines = block.split("\n")
        if time is SRT_TIME:
            assert lines.pop(0) == str(number)
        match = re.fullmatch(f"{time} --> {time}", lines.pop(0))
        assert match
        found.append((seconds(match, 1), seconds(match, 5), lines))
    return found


def width(line: str) -> int:
    return sum(
        0
        if unicodedata.category(sign) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(sign) in ("W", "F"))
        for sign in line
    )


def test_srt_is_as_players_expect_it():
    captions = to_srt([sentence("Hello there.", 0, 1.5), sentence("Bye.", 2.0004, 3661.5)])
    assert captions == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:02,000 --> 00:00:09,000\nBye.\n"
    )


def test_vtt_is_as_browsers_expect_it():
    captions = to_vtt([sentence("a < b & b > a --> c", 3661.25, 3663)])
    assert captions == (
        "WEBVTT\n\n01:01:01.250 --> 01:01:03.000\na &lt; b &amp; b &gt; a --&gt; c\n"
    )


def test_srt_has_no_arrow_within_a_text():
    captions = to_srt([sentence("from a --> to b")])
    assert captions.count("-->") == 1
    assert "from a → to b" in captions


def test_more_than_a_hundred_hours_are_still_valid():
    (cue,) = cues(to_srt([sentence("late", 400_000, 400_001)]))
    assert cue[:2] == (400_000, 400_001)


def test_nothing_spoken_gives_no_cues():
    assert cues(to_srt([])) == []
    assert cues(to_vtt([])) == []
    assert cues(to_srt([sentence("", 1, 2), sentence(" \n ", 2, 3)])) == []


def test_a_sentence_without_sound_gives_no_cue():
    assert cues(to_srt([sentence("...", 1, 1)])) == []


def test_sentences_that_overlap_give_cues_that_do_not():
    first, second = cues(to_srt([sentence("one", 0, 2), sentence("two", 1.985, 3)]))
    assert first[1] == second[0] == 2


def test_two_lines_are_about_as_wide_and_break_after_a_pause():
    (cue,) = cues(to_srt([sentence("When the rain had stopped, they all went out to the garden.")]))
    assert cue[2] == ["When the rain had stopped,", "they all went out to the garden."]


def test_a_long_sentence_is_cut_where_it_pauses():
    found = cues(to_srt([sentence(LONG, 0, 11)]))
    assert [cue[2] for cue in found] == [
        ["Oh, what a day;", "and then he went on and on,"],
        ["telling everyone about the", "long journey across the sea,"],
        ["until everyone in the", "room had fallen asleep."],
    ]


def test_word_times_decide_where_a_cue_begins():
    texts = LONG.split()
    # the first half of the words in two seconds, then silence, then the rest
    times = [i * 0.2 if i < 11 else 8 + i * 0.2 for i in range(len(texts))]
    words = tuple((text, t, t + 0.2) for text, t in zip(texts, times, strict=True))
    found = cues(to_srt([sentence(LONG, 0, 8 + len(texts) * 0.2, words)]))
    assert found[0][2] == ["Oh, what a day;", "and then he went on and on,"]
    assert found[0][1] == pytest.approx(2.2, abs=0.01)
    assert found[1][0] == pytest.approx(10.2, abs=0.01)


def test_a_word_that_is_not_in_the_text_is_passed_over():
    words = (("Hello", 0, 0.5), ("absent", 0.5, 0.7), ("there", 0.7, 1))
    (cue,) = cues(to_srt([sentence("Hello there", 0, 1, words)]))
    assert cue[2] == ["Hello there"]


def test_chinese_is_broken_between_signs_but_not_before_a_mark():
    found = cues(to_srt([sentence(CHINESE, 0, 14)]))
    lines = [line for cue in found for line in cue[2]]
    assert len(lines) > 2
    assert "".join(lines) == CHINESE
    for line in lines:
        assert width(line) <= LINE_WIDTH
        assert line[0] not in "，。！？：；”、"
        assert line[-1] not in "“（《"


def test_a_word_too_wide_for_a_line_is_cut():
    address = "https://example.org/" + "abcdefghij" * 12
    lines = [line for cue in cues(to_srt([sentence(address, 0, 20)])) for line in cue[2]]
    assert "".join(lines) == address
    assert max(map(len, lines)) <= LINE_WIDTH


def test_spaces_of_the_text_are_kept_as_single_ones():
    (cue,) = cues(to_srt([sentence("  two \n  lines\tand tabs ")]))
    assert cue[2] == ["two lines and tabs"]


letters = st.one_of(
    st.text("abc .,;!?-><&'\"()", max_size=400),
    st.text("他说今天，。「」“”！ aカーっ", max_size=200),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120),
)


@st.composite
def timings(draw) -> list[SentenceTiming]:
    found = []
    start = draw(st.floats(0, 100_000))
    for index in range(draw(st.integers(0, 4))):
        text = draw(letters)
        end = start + draw(st.floats(0, 40))
        spoken = text.split()[: draw(st.integers(0, 30))]
        marks = sorted(draw(st.lists(st.floats(start, end), min_size=2 * len(spoken), max_size=60)))
        words = tuple(
            CaptionWord(word, marks[2 * i], marks[2 * i + 1]) for i, word in enumerate(spoken)
        )
        found.append(SentenceTiming(index, text.strip(), start, end, words))
        start = end + draw(st.floats(-0.02, 1))
    return found


@settings(max_examples=80, deadline=None)
@given(timings())
def test_cues_are_valid_whatever_is_spoken(spoken):
    for captions in (to_srt(spoken), to_vtt(spoken)):
        found = cues(captions)
        for start, end, lines in found:
            assert 0 < end - start <= LONGEST_CUE + 0.0011
            assert 1 <= len(lines) <= 2
            assert all(lines)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    for _, _, lines in cues(to_srt(spoken)):
        assert all(width(line) <= LINE_WIDTH for line in lines)


@settings(max_examples=60, deadline=None)
@given(letters)
def test_every_sign_of_the_text_is_shown(text):
    text = text.replace("-->", "")
    shown = "".join(line for _, _, lines in cues(to_srt([sentence(text, 0, 60)])) for line in lines)
    assert "".join(shown.split()) == "".join(text.split())
