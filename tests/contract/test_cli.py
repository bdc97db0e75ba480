"""The commands in this process, on a tone engine where eSpeak's voice adds nothing."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from commands import flags
from commands.main import main
from engines.errors import EngineFailure
from studio.encode import FORMATS
from studio.settings import PRESETS_DIR
from tests import fakes

TEXT = "One two three. Four five six."


@pytest.fixture
def tone(monkeypatch: pytest.MonkeyPatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; the program's data lie in `data` beside it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(flags, "default_data_dir", lambda: tmp_path / "data")
    return work


@pytest.fixture
def say(tone, folder: Path, capsys: pytest.CaptureFixture[str]):
    """Run `say` with the tone engine; returns the exit code and what went to stderr."""

    def run(*argv: str) -> tuple[int, str]:
        engine = [] if "--engine" in argv else ["--engine", "tone"]
        try:
            code = main(["say", *engine, *argv])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, capsys.readouterr().err

    return run


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def names(folder: Path = Path()) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def seconds(file: Path) -> float:
    return soundfile.info(file).duration


# what it writes


def test_a_text_becomes_a_file(say, folder: Path) -> None:
    code, said = say(TEXT, "-o", "x.wav", "--seed", "7")
    assert code == 0
    samples, rate = soundfile.read("x.wav")
    assert rate == fakes.RATE
    assert len(samples) / rate > 6 * fakes.SECONDS_A_WORD
    assert "x.wav: " in said and "s of sound" in said and "seed 7" in said
    assert names() == ["x.wav"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_by_its_ending_and_by_its_name(name: str, say, folder: Path) -> None:
    ending = FORMATS[name].extension
    assert say(TEXT, "-o", f"a.{ending}")[0] == 0
    assert say(TEXT, "-o", "b.sound", "--format", name)[0] == 0
    a, b = Path(f"a.{ending}").read_bytes(), Path("b.sound").read_bytes()
    assert len(a) > 1000 and len(b) > 1000
    assert a[:2] == b[:2]


def test_a_streamed_wav_is_what_a_file_holds(tone, folder: Path, capfdbinary) -> None:
    assert main(["say", TEXT, "--engine", "tone", "--seed", "1", "-o", "x.wav", "-q"]) == 0
    assert capfdbinary.readouterr() == (b"", b"")
    assert main(["say", TEXT, "--engine", "tone", "--seed", "1", "-o", "-", "-q"]) == 0
    streamed = capfdbinary.readouterr().out
    samples, _ = soundfile.read("x.wav", dtype="int16")
    assert streamed[:4] == b"RIFF" and streamed[8:12] == b"WAVE"
    assert np.array_equal(np.frombuffer(streamed[44:], "<i2"), samples)


def test_the_text_comes_from_a_file_or_standard_input(say, folder: Path, monkeypatch) -> None:
    Path("book.txt").write_text("\ufeffOne two.\n\nThree.", "utf-8")
    assert say("-f", "book.txt", "-o", "file.wav")[0] == 0
    for number, argv in enumerate((["-"], ["-f", "-"])):
        give_stdin(monkeypatch, b"One two.\n\nThree.")
        assert say(*argv, "-o", f"{number}.wav")[0] == 0
        assert seconds(Path(f"{number}.wav")) == seconds(Path("file.wav"))


def test_controls_reach_the_engine(say, folder: Path) -> None:
    assert say(TEXT, "-o", "a.wav")[0] == 0
    assert say(TEXT, "-o", "b.wav", "--set", "speed=2", "--set", "frequency = 100")[0] == 0
    assert seconds(Path("b.wav")) < 0.8 * seconds(Path("a.wav"))


def test_captions_are_written_beside_the_sound(say, folder: Path) -> None:
    for name in ("x.srt", "x.vtt"):
        assert say(TEXT, "-o", "x.wav", "--captions", name)[0] == 0
        captions = Path(name).read_text("utf-8")
        assert captions.count("-->") == 2 and "Four five six." in captions
    assert names() == ["x.srt", "x.vtt", "x.wav"]


def test_a_note_is_shown_and_quiet_hides_it(say, folder: Path) -> None:
    text = "Hello \x07 there."
    assert "Note: " in say(text, "-o", "x.wav")[1]
    assert say(text, "-o", "x.wav", "-q") == (0, "")


def test_a_link_stays_a_link(say, folder: Path) -> None:
    Path("sound.wav").symlink_to("real.wav")
    assert say(TEXT, "-o", "sound.wav")[0] == 0
    assert Path("sound.wav").is_symlink() and seconds(Path("real.wav")) > 1


def test_a_device_file_is_written_to_and_not_replaced(say, folder: Path) -> None:
    assert say(TEXT, "-o", "/dev/null", "--format", "wav")[0] == 0
    assert Path("/dev/null").is_char_device()


# what it refuses

BAD_INPUT = {
    "empty": ([""], "empty"),
    "blank": ([" \n "], ""),
    "emoji": (["😀🎉"], ""),
    "surrogate": (["a\udcff"], ""),
    "long": (["word " * 300_000], "1,000,000"),
    "no text": ([], "no text"),
    "two texts": (["Hello.", "-f", "x.txt"], "two texts"),
    "no file": (["-f", "none.txt"], "none.txt"),
    "a folder": (["-f", "."], "cannot be read"),
    "voice": ([TEXT, "--voice", "nobody"], "nobody"),
    "engine": ([TEXT, "--engine", "nothing"], "nothing"),
    "device": ([TEXT, "--device", "toaster"], "toaster"),
    "absent device": ([TEXT, "--device", "cuda:99"], "cuda:99"),
    "unsuitable device": ([TEXT, "--device", "onnx"], "does not run on"),
    "language": ([TEXT, "--language", "tlh"], "tlh"),
    "preset": ([TEXT, "--preset", "none"], "none"),
    "format": ([TEXT, "--format", "midi"], "midi"),
    "ending": ([TEXT, "-o", "x.mid"], "x.mid"),
    "no ending": ([TEXT, "-o", "x"], "ending"),
    "captions": ([TEXT, "--captions", "x.doc"], ".doc"),
    "speed 0": ([TEXT, "--set", "speed=0"], "speed was '0'"),
    "speed nan": ([TEXT, "--set", "speed=nan"], "speed was 'nan'"),
    "speed 1e9": ([TEXT, "--set", "speed=1e9"], "0.25 to 4"),
    "speed word": ([TEXT, "--set", "speed=fast"], "speed was 'fast'"),
    "no control": ([TEXT, "--set", "depth=1"], "depth"),
    "no value": ([TEXT, "--set", "speed"], "NAME=VALUE"),
    "seed word": ([TEXT, "--seed", "x"], "seed was 'x'"),
    "seed fraction": ([TEXT, "--seed", "1.5"], "seed was '1.5'"),
    "seed negative": ([TEXT, "--seed=-1"], "seed was -1"),
    "seed large": ([TEXT, "--seed", str(2**32)], "4294967295"),
}


@pytest.mark.parametrize(("argv", "said"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_clear_message(argv: list[str], said: str, say, folder: Path) -> None:
    output = [] if "-o" in argv else ["-o", "x.wav"]
    code, error = say(*argv, *output)
    assert code == 2
    assert error.startswith("Error: ") and said in error
    assert "Traceback" not in error and len(error) < 1500
    assert names() == []


@pytest.mark.parametrize(
    "text",
    [
        "שלום עולם. مرحبا بالعالم.",
        "Привет, world, 你好 and 안녕.",
        "Hello \x00\x1b[31m there.\u202e",
    ],
    ids=["right to left", "mixed", "control characters"],
)
def test_unusual_text_is_spoken(text: str, say, folder: Path) -> None:
    assert say(text, "-o", "x.wav")[0] == 0
    assert seconds(Path("x.wav")) > 0.3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"caf\xe9.", "UTF-8 at line 1"),
        (b"One.\nTwo \xff.", "line 2"),
        (b"x" * 4_000_001, "4,000,000"),
    ],
    ids=["latin-1", "second line", "too long"],
)
def test_a_file_that_is_no_text_is_refused(content, said, say, folder, monkeypatch) -> None:
    Path("book.txt").write_bytes(content)
    code, error = say("-f", "book.txt", "-o", "x.wav")
    assert code == 2 and said in error and "book.txt" in error
    give_stdin(monkeypatch, content)
    code, error = say("-", "-o", "x.wav")
    assert code == 2 and said in error and "Standard input" in error
    assert names() == ["book.txt"]


def test_output_has_to_be_named_and_to_be_a_file(say, folder: Path, monkeypatch) -> None:
    assert "-o speech.wav" in say(TEXT)[1]
    code, error = say(TEXT, "-o", "none/x.wav")
    assert code == 2 and "none" in error
    code, error = say(TEXT, "-o", ".")
    assert code == 2 and "folder" in error
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, error = say(TEXT, "-o", "-")
    assert code == 2 and "terminal" in error


def test_a_broken_lexicon_names_file_and_line(say, folder: Path) -> None:
    file = folder.parent / "data" / "lexicon" / "en.txt"
    file.parent.mkdir(parents=True)
    file.write_text("# mine\nthis line says nothing\n")
    code, error = say(TEXT, "-o", "x.wav")
    assert code == 2 and str(file) in error and "2" in error
    assert names() == []


def test_a_broken_preset_names_file_and_line(say, folder: Path, tmp_path, monkeypatch) -> None:
    mine = tmp_path / "presets"
    (mine / "voices").mkdir(parents=True)
    (mine / "schema.json").write_bytes((PRESETS_DIR / "schema.json").read_bytes())
    (mine / "voices" / "mine.json").write_text('{\n"id": }')
    original = flags.settings
    monkeypatch.setattr(flags, "settings", lambda given: replace(original(given), presets_dir=mine))
    code, error = say(TEXT, "-o", "x.wav")
    assert code == 2 and "mine.json, line 2" in error


def test_a_failure_halfway_leaves_the_old_file_as_it_was(say, tone, folder: Path) -> None:
    Path("x.wav").write_bytes(b"the old one")
    tone.failure = EngineFailure("The bell broke.")
    code, error = say(TEXT, "-o", "x.wav", "--captions", "x.srt")
    assert code == 1 and "The bell broke." in error
    assert names() == ["x.wav"] and Path("x.wav").read_bytes() == b"the old one"


def test_ctrl_c_leaves_nothing(say, tone, folder: Path) -> None:
    def interrupt(_samples: object) -> None:
        raise KeyboardInterrupt

    from commands import progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Listener, "_show", lambda *_: interrupt(None))
        code, error = say(TEXT, "-o", "x.wav")
    assert code == 130 and error.endswith("Cancelled.\n")
    assert names() == []


def test_a_folder_that_cannot_be_made_is_a_failure(say, folder: Path) -> None:
    (folder.parent / "data").write_text("in the way")
    code, error = say(TEXT, "-o", "x.wav")
    assert code == 1 and "--data-dir" in error
