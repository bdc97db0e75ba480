"""The README keeps its word: its examples run, its table and versions are those of the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import yaml

from docs import generate
from engines.text import lexicon
from tests.servers import ROOT

README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
ADDRESS = "127.0.0.1:7860"
SECONDS = 60  # for one block; each starts the program some times


def blocks(language: str, text: str = TEXT) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def front_matter() -> dict:
    return yaml.safe_load(README.split("---\n")[1])


def run(command: list[str], folder: Path) -> None:
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **home, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stderr


def local(block: str, port: int) -> str:
    """A block as it is run here: our server, our Python, the program where it lies."""
    return block.replace(ADDRESS, f"127.0.0.1:{port}").replace(
        "python app.py", f"{sys.executable} {ROOT / 'app.py'}"
    )


@pytest.mark.parametrize("block", blocks("bash"), ids=lambda block: block.split("\n")[0])
def test_a_shell_example_runs(block: str, server, tmp_path: Path) -> None:
    if "curl" in block and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    run(["bash", "-euo", "pipefail", "-c", local(block, server.port)], tmp_path)
    promised = set(re.findall(r"(?:-o|--captions|>) ([\w.]+)", block))
    for name in promised:
        assert (tmp_path / name).stat().st_size > 20, name
    for name in promised - {"story.txt", "story.srt"}:
        assert soundfile.info(tmp_path / name).duration > 0.5


@pytest.mark.parametrize("block", blocks("python"))
def test_a_python_example_runs(block: str, server, tmp_path: Path) -> None:
    run([sys.executable, "-c", local(block, server.port)], tmp_path)
    samples, _ = soundfile.read(tmp_path / "morning.wav")
    assert abs(samples).max() > 0.05


def test_the_lexicon_example_can_be_read() -> None:
    [example] = blocks("lexicon")
    entries = {entry.word: entry for entry in lexicon.parse(example.encode(), Path("en.txt"))}
    assert entries["Nguyen"].respelling == "win"
    assert entries["quinoa"].ipa == "ˈkiːnwɑː"
    assert entries["US"].exact and not entries["3D"].exact


def test_there_are_examples_of_every_kind() -> None:
    shell = "\n".join(blocks("bash", README))
    assert "curl" in shell and "app.py say" in shell and "app.py voices" in shell
    assert any("openai" in block for block in blocks("python", README))


def test_the_space_is_described_as_hugging_face_wants_it() -> None:
    space = front_matter()
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    assert re.search(rf"^gradio=={re.escape(space['sdk_version'])}\b", lock, re.MULTILINE)
    assert space["sdk"] == "gradio"
    assert (ROOT / space["app_file"]).is_file()
    assert space["license"] == "apache-2.0"
    assert len(space["short_description"]) <= 60
    assert space["python_version"] in ("3.10", "3.11", "3.12", "3.13")


def test_the_table_of_engines_is_that_of_the_declarations() -> None:
    assert generate.engine_table() in README, "run `python -m docs.generate`"
    assert generate.with_table(README) == README


def test_the_table_of_benchmarks_is_that_of_their_results() -> None:
    table = generate.speed_table()
    for name in generate.MEASURED:
        [title, *_] = (ROOT / "bench" / "results" / f"{name}.md").read_text("utf-8").splitlines()
        assert f"| {title.removeprefix('# ')} | " in table
    assert generate.with_speed(README) == README, "run `python -m docs.generate`"


def test_the_list_of_coquis_models_is_the_librarys() -> None:
    text = generate.COQUI.read_text("utf-8")
    assert "tts_models/multilingual/multi-dataset/xtts_v2" in text
    assert generate.with_models(text) == text, "run `python -m docs.generate`"


def test_the_table_is_made_anew_between_its_markers_alone() -> None:
    old = f"before\n{generate.BEGIN}\n| old |\n{generate.END}\nafter"
    new = generate.with_table(old)
    assert new.startswith("before\n") and new.endswith("\nafter")
    assert "old" not in new and "`espeak`" in new


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert "://" in link or (page.parent / link).exists(), link


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in PAGES:
        for target in re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", page.read_text("utf-8"), re.M):
            assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target
