"""The user's pronunciations: files, matching, reloading."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.api import Capability
from engines.errors import BadLexicon, StorageError
from engines.text import STARTER, Lexicon
from engines.text.lexicon import Entry, Matcher, parse

SPELLS = Capability("fake", "Fake", "", 16000, "", (), phonemes="none")
TAKES_IPA = replace(SPELLS, phonemes="ipa")


def respell(text: str, *entries: Entry) -> str:
    """The text with every match replaced."""
    said, position = [], 0
    for start, end, entry in Matcher(entries).find(text):
        said += [text[position:start], entry.respelling]
        position = end
    return "".join([*said, text[position:]])


def entries(content: str) -> tuple[Entry, ...]:
    return parse(content.encode(), Path("en.txt"))


def test_lines() -> None:
    found = entries(
        "\ufeff# a comment\r\n\r\nNguyen = win\r\n  New   York=noo york \n"
        "quinoa = /ˈkiːnwɑː/\nUS == U S\nC# = see sharp\na=b=c\n"
    )
    assert found == (
        Entry("Nguyen", respelling="win"),
        Entry("New York", respelling="noo york"),
        Entry("quinoa", ipa="ˈkiːnwɑː"),
        Entry("US", respelling="U S", exact=True),
        Entry("C#", respelling="see sharp"),
        Entry("a", respelling="b=c"),
    )


def test_the_starter_is_nothing_but_comments() -> None:
    assert entries(STARTER) == ()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no equals sign", "no equals sign"),
        ("= win", "= win"),
        ("word =", "word ="),
        ("word ==", "word =="),
        ("word = /ab", "/ab"),
        ("word = //", "//"),
        ("word = /a/b/", "/a/b/"),
        ("word = /k{n/", "'{'"),
        ("word = /h@l@U/", "'@'"),
        ("x" * 201 + " = y", "xxx"),
    ],
)
def test_a_broken_line_is_named_with_file_and_line(line: str, says: str) -> None:
    with pytest.raises(BadLexicon) as caught:
        parse(f"# one\ngood = fine\n{line}\n".encode(), Path("/here/de.txt"))
    assert "/here/de.txt, line 3" in caught.value.given
    assert says in caught.value.given
    assert "word = respelling" in caught.value.allowed
    assert caught.value.todo


def test_a_file_that_is_not_utf8_is_named_with_its_line() -> None:
    with pytest.raises(BadLexicon, match=r"line 2: byte 0xFF.*UTF-8"):
        parse(b"a = b\n\xff\xfe = c\n", Path("en.txt"))


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("Ask Nguyen now", "Nguyen", "Ask X now"),
        ("ask NGUYEN, nguyen's", "Nguyen", "ask X, X's"),
        ("Nguyens", "Nguyen", "Nguyens"),
        ("3D and 3Ds, 13D", "3D", "X and 3Ds, 13D"),
        ("Dr. Who, drive", "Dr.", "X Who, drive"),
        ("in New\nYork city", "New York", "in X city"),
        ("AT&T's", "AT&T", "X's"),
        ("a C++ b C+++", "C++", "a X b X+"),
        ("don’t", "don't", "X"),
        ("हिन्दी हिन्दीवाला", "हिन्दी", "X हिन्दीवाला"),
        ("naïve naïveté", "naïve", "X naïveté"),
        ("私は東京へ行く", "東京", "私はXへ行く"),
        ("ฉันชอบข้าว", "ข้าว", "ฉันชอบX"),
        ("我用Xiaomi手机", "Xiaomi", "我用X手机"),
        ("ΟΔΟΣ οδός", "οδος", "X οδός"),
        ("İstanbul istanbul", "istanbul", "İstanbul X"),
        ("a.b.c", "b", "a.X.c"),
        ("foo_bar bar", "bar", "foo_bar X"),
    ],
)
def test_matching(text: str, word: str, expected: str) -> None:
    assert respell(text, Entry(word, respelling="X")) == expected


def test_the_longest_entry_wins_and_the_rest_is_found_after_it() -> None:
    found = respell(
        "New York City and New York Times in York",
        Entry("New York", respelling="1"),
        Entry("New York City", respelling="2"),
        Entry("York", respelling="3"),
    )
    assert found == "2 and 1 Times in 3"


def test_exact_entries_leave_other_letter_cases_alone() -> None:
    us = Entry("US", respelling="U S", exact=True)
    assert respell("US us Us", us) == "U S us Us"
    assert respell("US us Us", us, Entry("us", respelling="ass")) == "U S ass ass"


def test_a_later_entry_replaces_an_earlier_one() -> None:
    assert respell("word", Entry("word", respelling="1"), Entry("WORD", respelling="2")) == "2"


def write(folder: Path, name: str, content: str, age: int) -> None:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    os.utime(path, ns=(age, age))


def said(lexicon: Lexicon, text: str, language: str) -> list[str]:
    return [entry.respelling for _, _, entry in lexicon.matcher(language).find(text)]


def test_special_tags_come_before_general_ones(tmp_path: Path) -> None:
    write(tmp_path, "en.txt", "tomato = general\nroute = root", 1)
    write(tmp_path, "EN_us.txt", "tomato = american", 1)
    write(tmp_path, "de.txt", "tomato = deutsch", 1)
    write(tmp_path, "README.txt", "this is no lexicon", 1)
    lexicon = Lexicon.load(tmp_path)
    assert said(lexicon, "tomato route", "en-US") == ["american", "root"]
    assert said(lexicon, "tomato route", "en_GB") == ["general", "root"]
    assert said(lexicon, "tomato route", "de-AT") == ["deutsch"]
    assert said(lexicon, "tomato route", "fr") == []


def test_a_missing_folder_is_an_empty_lexicon(tmp_path: Path) -> None:
    lexicon = Lexicon.load(tmp_path / "nowhere")
    assert said(lexicon, "word", "en") == []
    assert said(Lexicon.empty(), "word", "en") == []


def test_changes_count_from_the_next_request_on(tmp_path: Path) -> None:
    lexicon = Lexicon.load(tmp_path)
    before = lexicon.matcher("en")
    write(tmp_path, "en.txt", "word = one", 1)
    assert said(lexicon, "word", "en") == ["one"]
    assert list(before.find("word")) == []  # a request in work keeps what it started with
    write(tmp_path, "en.txt", "word = two", 2)
    assert said(lexicon, "word", "en") == ["two"]
    (tmp_path / "en.txt").unlink()
    assert said(lexicon, "word", "en") == []


def test_a_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "en.txt", "word = one", 1)
    lexicon = Lexicon.load(tmp_path)
    first = lexicon.matcher("en")
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert lexicon.matcher("en") is first


def test_a_broken_edit_is_reported_and_can_be_mended(tmp_path: Path) -> None:
    write(tmp_path, "en.txt", "word = one", 1)
    lexicon = Lexicon.load(tmp_path)
    write(tmp_path, "en.txt", "word one", 2)
    for _ in range(2):
        with pytest.raises(BadLexicon, match=r"en\.txt, line 1"):
            lexicon.matcher("en")
    assert said(lexicon, "word", "de") == []
    write(tmp_path, "en.txt", "word = mended", 3)
    assert said(lexicon, "word", "en") == ["mended"]


def test_loading_checks_every_file(tmp_path: Path) -> None:
    write(tmp_path, "fr.txt", "cassé", 1)
    with pytest.raises(BadLexicon, match=r"fr\.txt, line 1"):
        Lexicon.load(tmp_path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "en.txt").mkdir()
    with pytest.raises(StorageError, match=r"en\.txt"):
        Lexicon.load(tmp_path)


def test_ipa_that_an_engine_cannot_use_is_told(tmp_path: Path) -> None:
    write(tmp_path, "en.txt", "quinoa = /ˈkiːnwɑː/\nGIF = jif\nnaïve = /naɪˈiːv/", 1)
    lexicon = Lexicon.load(tmp_path)
    text = "Quinoa gif quinoa"
    assert lexicon.unheard(text, "en", SPELLS) == ("quinoa",)
    assert lexicon.unheard(text, "en", TAKES_IPA) == ()
    assert lexicon.unheard("gif", "en", SPELLS) == ()


def test_many_threads_get_whole_answers_while_the_file_changes(tmp_path: Path) -> None:
    write(tmp_path, "en.txt", "aa = 0\nbb = 0", 1)
    lexicon = Lexicon.load(tmp_path)
    stop = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            answer = said(lexicon, "aa bb", "en")
            if len(answer) != 2 or len(set(answer)) != 1:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for age in range(2, 60):
        # replaced whole, as an editor saves
        write(tmp_path, "new", f"aa = {age}\nbb = {age}", age)
        (tmp_path / "new").replace(tmp_path / "en.txt")
    stop.set()
    for thread in threads:
        thread.join(timeout=10)
    assert wrong == []
    assert said(lexicon, "aa", "en") == ["59"]


def test_ten_thousand_entries_do_not_slow_the_search_down() -> None:
    """Counts look-ups: they depend on the text alone, even if all entries start alike."""
    many = [Entry(f"the {number:05}", respelling="x") for number in range(10_000)]
    matcher = Matcher(many)
    looked_up = 0

    class Counting(dict):  # type: ignore[type-arg]
        def get(self, *key: object) -> object:
            nonlocal looked_up
            looked_up += 1
            return super().get(*key)

    for candidates in matcher._heads.values():
        candidates.by_text = Counting(candidates.by_text)
    assert len(list(matcher.find("the 00042 and the cat " * 100))) == 100
    assert looked_up <= 200


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("aAßİ東ข้. -3"), min_size=1).map(str.strip).filter(bool)),
    st.text(st.sampled_from("aAßİ東ข้. -3\n")),
)
def test_matches_are_in_order_and_fold_to_their_entry(words: list[str], text: str) -> None:
    matcher = Matcher(Entry(" ".join(word.split()), respelling="x") for word in words)
    position = 0
    for start, end, entry in matcher.find(text):
        assert position <= start < end <= len(text)
        assert len(entry.word) == end - start
        position = end


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    try:
        found = parse(data, Path("en.txt"))
    except BadLexicon:
        return
    Matcher(found)
