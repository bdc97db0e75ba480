"""Language tags."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.text.languages import canonical, cldr_locale, fallbacks, language_name, primary


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("en_US", "en-US"),
        ("EN-us", "en-US"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("en-gb-x-rp", "en-GB-x-rp"),
        (" de ", "de"),
    ],
)
def test_canonical(tag: str, wanted: str) -> None:
    assert canonical(tag) == wanted


@pytest.mark.parametrize(
    ("tag", "wanted"), [("en-GB", "en"), ("cmn", "zh"), ("no", "nb"), ("yue", "yue"), ("", "")]
)
def test_primary(tag: str, wanted: str) -> None:
    assert primary(tag) == wanted


def test_fallbacks() -> None:
    assert fallbacks("zh_Hant_TW") == ("zh-hant-tw", "zh-hant", "zh")


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("de", "German"),
        ("pt-br", "Portuguese (Brazil)"),
        ("es-419", "Spanish (Latin America)"),
        ("en-gb-x-rp", "English (United Kingdom) (x-rp)"),
        ("yue", "Cantonese"),
        ("nci", "nci"),
    ],
)
def test_names(tag: str, name: str) -> None:
    assert language_name(tag) == name


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_tag(tag: str) -> None:
    assert canonical(canonical(tag)) == canonical(tag)
    language_name(tag)
    locale = cldr_locale(tag)
    assert locale is None or locale.language
