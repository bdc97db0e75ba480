"""Sentences of many languages, and the cutting of those that are too long."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.api import Span
from engines.text.pieces import pieces
from engines.text.split import between_letters, sentences


def split(text: str, language: str = "en", window: int = 2048) -> list[str]:
    return [text[s.start : s.end] for s in sentences(text, 0, len(text), language, window)]


# `|` marks where a sentence ends
WHOLE = [
    ("en", "Dr. Smith met Mr. and Mrs. J. R. R. Tolkien in St. Louis.|It rained."),
    ("en", "The U.S. Army paid $5.30 at 5 p.m. today.|Pi is 3.14159, approx. 3.|Done."),
    ("en", "See Fig. 3, p. 12, vol. II, No. 5 and Eq. (2).|He said no.|Five left."),
    ("en", "“Is it?” she said.|‘No.’|He left.|(Really? Yes.)|She agreed."),
    ("en", 'He said "Stop!" and left.|"Yes."|It was late.'),
    ("en", "What?!|No way!!!|Wait... what?|Visit www.example.com.|Version 2.0.1 is out."),
    ("en", "He is at Acme Inc.|She is at Bar Co. too, etc. and so on.|You and I.|We know."),
    ("en", "The dogs' bowl is here.|The cats' bowl is not.|It's 6\" tall.|That's 7\" or \"more.\""),
    ("en", "Then he left (at last.)|Silence fell."),
    ("de", "Das ist z. B. am 3. Mai um 14.30 Uhr, d. h. bald.|Prof. Dr. Müller kommt.|Gut."),
    ("de", "Der 2. Weltkrieg.|Im Jahr 2020.|Danach Nr. 5, S. 12 usw. und bzw. mehr."),
    ("de", "Er sagte: „Komm!“|Dann ging er.|Das kostet 1.234,50 €.|Ja."),
    ("fr", "M. Dupont et Mme. Durand sont là, cf. p. 5.|Quoi ?|« Oui. »|Non."),
    ("es", "El Sr. García y la Sra. López viven en EE. UU. desde 1999.|¿Qué?|¡Sí!|Ud. sabe."),
    ("it", "Il Sig. Rossi e la Dott.ssa Bianchi.|Ciao!"),
    ("pt", "O Sr. Silva e a V. Ex.ª sabem.|Sim."),
    ("nl", "Dhr. Jansen, d.w.z. mr. de Vries, komt a.s. maandag.|Ja."),
    ("pl", "To jest np. ul. Długa 5 i prof. Nowak przyjdzie.|Tak."),
    ("ru", "Это было в 1999 г. в Москве, т. е. давно.|А. С. Пушкин родился.|Да."),
    ("el", "Τι κάνεις;|Καλά.|Εσύ;"),
    ("ar", "كيف حالك؟|أنا بخير.|شكرا!"),
    ("ur", "یہ ہے۔|وہ ہے۔"),
    ("hi", "यह है।|वह है।|क्या?"),
    ("hy", "Բարեւ։|Լավ եմ։"),
    ("am", "ሰላም።|እንዴት ነህ?"),
    ("my", "မင်္ဂလာပါ။|နေကောင်းလား။"),
    ("km", "សួស្តី។|អ្នក។"),
    ("bo", "བཀྲ་ཤིས།|བདེ་ལེགས།"),
    ("th", "สวัสดีครับ วันนี้อากาศดี ไปเที่ยวกันไหม"),
    ("zh", "他说：“好。”|然后走了……真的吗？！|是的。|(好。)"),
    ("ja", "「そうだ。」|と彼は言った。|本当？|はい！|次です。"),
    ("xx", "No language at all.|But sentences."),
]


@pytest.mark.parametrize(("language", "marked"), WHOLE)
def test_sentences_stay_whole(language: str, marked: str) -> None:
    wanted = marked.split("|")
    for between in (" ", "\n\n", " \n \n"):
        assert split(between.join(wanted), language) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Chapter One\nIt was a dark night.", ["Chapter One", "It was a dark night."]),
        ("1. Apples\n2. Pears", ["1. Apples", "2. Pears"]),
        ("- apples\n- pears and\n  plums", ["- apples", "- pears and\n  plums"]),
        ("* Apples\n* Pears", ["* Apples", "* Pears"]),
        ("broken by\nhand. Yes", ["broken by\nhand.", "Yes"]),
        ("one\n\n\n \n\ntwo", ["one", "two"]),
        ("今天很好\n我们走吧", ["今天很好", "我们走吧"]),
    ],
)
def test_lines(text: str, wanted: list[str]) -> None:
    assert split(text) == wanted


def test_a_text_wrapped_by_hand_is_read_as_one() -> None:
    text = (
        "It was the best of times, it was the worst of times, it was the age of\n"
        "Wisdom, it was the age of foolishness, it was the epoch of belief, it\n"
        "was the epoch of Incredulity, it was the season of Light, it was the\n"
        "Season of Darkness."
    )
    assert split(text) == [text]


@pytest.mark.parametrize("window", [64, 200])
def test_a_window_changes_nothing_while_sentences_fit(window: int) -> None:
    text = "Dr. Smith paid $5.30, e.g. today. He left at 5 p.m. sharp! Why? " * 20
    assert split(text, window=window) == split(text)


def test_a_sentence_longer_than_the_window_comes_in_parts() -> None:
    text = "and so on, " * 100 + "until 1,234,567 came."
    found = list(sentences(text, 0, len(text), "en", 64))
    assert [s.whole for s in found] == [False] * (len(found) - 1) + [True]
    assert all(s.end - s.start <= 64 for s in found)
    assert " ".join(text[s.start : s.end] for s in found) == text
    assert "1,234,567" in text[found[-1].start : found[-1].end]


def test_newlines_and_the_end_are_told() -> None:
    found = list(sentences("A one.\n\nA two.\nA three. A four.\n", 0, 33, "en"))
    assert [(s.newlines, s.last) for s in found] == [
        (2, False),
        (1, False),
        (0, False),
        (1, True),
    ]


def test_work_is_linear_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts characters given to the library: a window may be looked at twice, not more often."""
    import sentencex

    counted = 0
    real = sentencex.segment

    def counting(language: str, text: str) -> list[str]:
        nonlocal counted
        counted += len(text)
        return real(language, text)

    monkeypatch.setattr(sentencex, "segment", counting)
    short, long = "Yes. ", "a very long one " * 120 + ". "
    for text in ("a" * 100_000, "No. " * 25_000, (short + long) * 50, "A.\n" * 30_000):
        counted = 0
        assert split(text)
        assert counted < 3.5 * len(text)


@settings(deadline=None)
@given(st.text(st.sampled_from("aB .!?…\"')(”。\n\u0301א9,-é"), max_size=300), st.integers(8, 40))
def test_nothing_but_white_space_is_lost(text: str, window: int) -> None:
    found = list(sentences(text, 0, len(text), "en", window))
    assert "".join("".join(text[s.start : s.end].split()) for s in found) == "".join(text.split())
    position = 0
    for sentence in found:
        assert position <= sentence.start < sentence.end
        position = sentence.end
    assert [s.last for s in found] == [False] * (len(found) - 1) + [True] * bool(found)


@settings(deadline=None)
@given(
    st.text(max_size=200), st.sampled_from(["en", "de", "zh", "xx", "", "he", "a-b-c", "\u0130"])
)
def test_any_text_in_any_language(text: str, language: str) -> None:
    found = split(text, language)
    assert "".join("".join(part.split()) for part in found) == "".join(text.split())


# pieces of an over-long sentence


def cut(text: str, limit: int) -> list[str]:
    made = pieces([Span(text, text)], limit)
    return ["".join(span.source for span in piece.spans) for piece in made]


def test_a_short_sentence_is_one_piece() -> None:
    assert cut(" Hello world. ", 400) == ["Hello world."]


def test_clause_marks_come_before_spaces() -> None:
    text = "The rain fell in torrents; it was checked by gusts of wind, which swept the streets"
    assert cut(text, 60) == [
        "The rain fell in torrents;",
        "it was checked by gusts of wind, which swept the streets",
    ]


def test_pieces_are_of_about_the_same_length() -> None:
    text = " ".join(["word"] * 41)  # 204 characters
    lengths = [len(part) for part in cut(text, 100)]
    assert len(lengths) == 3
    assert min(lengths) > 55


def test_numbers_stay_whole() -> None:
    text = "it was 1 000 000,50 or 3.14159 or 1,234,567 and so on " * 4
    for limit in range(20, 80):
        joined = " ".join(cut(text, limit))
        for number in ("1 000 000,50", "3.14159", "1,234,567"):
            assert joined.count(number) == 4, limit


def test_no_letter_is_split() -> None:
    text = "हिन्दीक्षिe\u0301e\u0301นี้ที่" * 20
    assert " " not in text
    for limit in range(20, 60):
        made = cut(text, limit)
        assert "".join(made) == text
        assert not any(unicodedata.category(part[0])[0] == "M" for part in made)


def test_cuts_between_letters() -> None:
    assert not between_letters("e\u0301", 1)
    assert not between_letters("क्ष", 2)
    assert not between_letters("a\u200db", 2)
    assert not between_letters("\u1112\u1161", 1)
    assert between_letters("ab", 1)
    assert between_letters("ab", 0)


def test_what_is_spoken_otherwise_is_not_cut() -> None:
    spans = [
        Span("It cost ", "It cost "),
        Span("$5.30", "five dollars and thirty cents"),
        Span(" then", " then"),
    ]
    made = pieces(spans, 40)
    assert [[span.source for span in piece.spans] for piece in made] == [
        ["It cost"],
        ["$5.30", " then"],
    ]
    assert [piece.offset for piece in made] == [0, 8]


def test_a_number_longer_than_the_limit_is_cut_between_its_words() -> None:
    made = pieces([Span("1" * 30, "one " * 29 + "one"), Span(" end", " end")], 50)
    spoken = ["".join(span.spoken for span in piece.spans) for piece in made]
    assert " ".join(spoken) == "one " * 30 + "end"
    assert [span.source for piece in made for span in piece.spans] == ["1" * 30, "", "", " end"]


def test_silent_spans_are_kept_once() -> None:
    made = pieces([Span("- ", ""), Span("a b c d e f", "a b c d e f"), Span("!", "")], 6)
    assert [span.source for piece in made for span in piece.spans] == ["- ", "a b c", "d e f", "!"]


def test_white_space_before_a_silent_end_is_kept() -> None:
    (piece,) = pieces([Span(" a b ", " a b "), Span("x", "")], 40)
    assert piece.offset == 1
    assert [span.source for span in piece.spans] == ["a b ", "x"]


@settings(deadline=None)
@given(st.text(st.sampled_from("ab ,;。é\u0301नी्"), max_size=400), st.integers(40, 90))
def test_no_piece_is_longer_than_the_limit(text: str, limit: int) -> None:
    made = [part for part in cut(text, limit) if part]
    assert all(0 < len(part) <= limit for part in made)
    assert "".join("".join(part.split()) for part in made) == "".join(text.split())
    longest = sum(map(len, made)) / max(1, len(made))
    assert all(len(part) > longest / 8 for part in made) or " " in text
