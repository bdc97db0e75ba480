"""Dropped files: read by what is in them, refused where they are no text."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import BadText
from ui.textfile import decode

GERMAN = "Grüße aus Köln: naïve Café-Besucher überqueren die Straße."
RUSSIAN = "Привет, мир. Это проверка кодировки русского текста."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "latin-1"),
        ("Café", "latin-1"),
        ("“Quoted” – naïve", "cp1252"),
        ("Zażółć gęślą jaźń. Wczoraj kupiłem świeże bułki, mąkę oraz śmietanę.", "cp1250"),
        (RUSSIAN, "utf-8"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN + " 12", "utf-16-be"),
        ("Καλημέρα κόσμε, αυτό είναι ένα κείμενο.", "cp1253"),
        ("こんにちは世界。これは文字コードの試験です。", "shift_jis"),
        ("你好，世界。这是一个编码测试。", "gb18030"),
        ("안녕하세요 세계. 이것은 시험입니다.", "euc-kr"),
        ("مرحبا بالعالم هذا نص عربي قصير", "cp1256"),
        ("𐍈 🎉 ok", "utf-16"),
    ],
)
def test_text_is_read_in_its_encoding(text, encoding) -> None:
    assert decode(text.encode(encoding), 1000) == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1",
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        b"{\\rtf1\\ansi Hello}",
        b"PK\x03\x04\x14\0\0\0\x08\0word/document.xml",
        b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x64\0\0",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0",
        bytes(range(1, 32)) * 20,
        codecs.BOM_UTF16_LE + b"\x00\xd8\x41",
        codecs.BOM_UTF8 + b"\xff\xfe\xfd",
    ],
)
def test_a_binary_file_is_refused_in_words(data) -> None:
    with pytest.raises(BadText, match=r"no plain text.*\.txt or \.md.*copy its words"):
        decode(data, 1000)


@pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\0\0\0\0"])
def test_an_empty_file(data) -> None:
    with pytest.raises(BadText, match="empty"):
        decode(data, 1000)


def test_a_file_may_be_as_long_as_a_text_and_no_longer() -> None:
    assert decode("ü".encode() * 100, 100) == "ü" * 100
    with pytest.raises(BadText, match=r"101 characters.*at most 100 "):
        decode("ü".encode() * 101, 100)
    with pytest.raises(BadText, match="5,000,000 bytes"):
        decode(b"a" * 5_000_000, 1_000_000)


def test_line_ends_become_those_of_a_text_box() -> None:
    assert decode(b"one\r\ntwo\rthree\n", 100) == "one\ntwo\nthree\n"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1))
def test_whatever_utf8_is_given_comes_back(text) -> None:
    if text.strip() and not text.startswith("\ufeff"):
        assert decode(text.encode(), 10_000) == text


@given(st.binary(max_size=400))
def test_any_bytes_give_a_text_or_a_clear_error(data) -> None:
    try:
        text = decode(data, 1000)
    except BadText as error:
        assert error.given
    else:
        assert "\0" not in text
