"""What the command line's flags take, and what it says to what they do not take."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import flags
from commands.flags import Address
from commands.main import build_parser, main


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7860", "127.0.0.1", 7860),
        ("0.0.0.0:80", "0.0.0.0", 80),
        (":7861", "0.0.0.0", 7861),
        ("localhost", "localhost", 7860),
        ("[::1]:7860", "::1", 7860),
        ("[::]", "::", 7860),
        ("studio.local:65535", "studio.local", 65535),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert flags.address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", ":", "host:", "host:0", "host:65536", "host:x", "::1", "[::1", "a b:1", "h:1:2"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="HOST:PORT"):
        flags.address(text)


@settings(deadline=None)
@given(st.sampled_from(["127.0.0.1", "::1", "host"]), st.integers(1, 65535))
def test_an_address_is_printed_as_it_is_read(host: str, port: int) -> None:
    assert flags.address(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("8GB", 8 * 10**9), ("8gib", 8 * 2**30), ("1.5 GB", 1_500_000_000), ("512MiB", 2**29)],
)
def test_a_size_is_read(text: str, wanted: int) -> None:
    assert flags.size(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("2 M", 120)]
)
def test_a_time_is_read(text: str, wanted: float) -> None:
    assert flags.duration(text) == wanted


@pytest.mark.parametrize("text", ["", "8", "0GB", "-1GB", "nanGB", "infGB", "1e9GB", "8 apples"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 8GB"):
        flags.size(text)


@pytest.mark.parametrize("text", ["", "0", "-5m", "nan", "inf", "1e9", "10 years"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 10m"):
        flags.duration(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (flags.address, flags.size, flags.duration):
        try:
            assert read(text)
        except argparse.ArgumentTypeError as error:
            assert repr(text) in str(error)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["speak"], "choose from"),
        (["--listen", "nowhere:0"], "no address"),
        (["--memory-budget", "8"], "no size"),
        (["--idle-ttl", "soon"], "no time"),
        (["say", "Hello.", "-o", "x.wav", "--colour", "red"], "--colour"),
        (["voices", "--controls", "--presets"], "not allowed with"),
    ],
)
def test_a_mistake_is_told_in_two_lines(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("Error: ") and error.count("\n") == 2 and "--help" in error


def test_a_flag_counts_before_and_after_the_command() -> None:
    parser = build_parser()
    before = parser.parse_args(["--data-dir", "a", "--device", "cpu", "say", "Hello."])
    after = parser.parse_args(["say", "Hello.", "--data-dir", "a", "--device", "cpu"])
    assert before.data_dir == after.data_dir == Path("a")
    assert before.device == after.device == "cpu"


def test_flags_become_settings(tmp_path: Path) -> None:
    argv = ["--data-dir", str(tmp_path), "--memory-budget", "4GB", "--idle-ttl", "1m"]
    made = flags.settings(build_parser().parse_args([*argv, "--device", "cpu"]))
    assert made.data_dir == tmp_path
    assert made.models == tmp_path / "models"
    assert (made.memory_budget, made.idle_ttl, made.device) == (4 * 10**9, 60, "cpu")


def test_a_space_listens_where_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert build_parser().parse_args([]).listen == Address("127.0.0.1", 7860)
    monkeypatch.setenv("SPACE_ID", "someone/vivavoce")
    assert build_parser().parse_args([]).listen == Address("0.0.0.0", 7860)
    assert build_parser().parse_args(["--listen", ":1"]).listen == Address("0.0.0.0", 1)
    assert flags.settings(build_parser().parse_args([])).shared


def test_the_help_names_every_command_and_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in ("say", "voices", "devices", "doctor", "--listen", "--device", "--models-dir"):
        assert word in text
    for word in ("--data-dir", "--memory-budget", "--idle-ttl", "7860"):
        assert word in text
