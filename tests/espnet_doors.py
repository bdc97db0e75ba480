"""A tiny ESPnet VITS release of two speakers, and how each front door is asked to speak with it."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.browser import Page
from tests.espnet_release import write_release

TEXT = "Hello, not a lot. Tell Anna, no note at all, hello hello."
RATE = 22_050
VOICE = "many.p225"  # which the page offers first
SEED = 3
ROUNDING = 1e-4  # of two devices, beside the step of 16-bit sound, which is a third of it
MODEL = {
    "spks": 4,
    "global_channels": 6,
    "stochastic_duration_predictor_flows": 2,  # half of the usual, to compile less
}


def write_many(folder: Path) -> Path:
    """The release "many" with its speakers p225 and Ann; returns its folder."""
    release = write_release(folder, generator=MODEL)
    (release / "dump" / "raw").mkdir(parents=True)
    (release / "dump" / "raw" / "spk2sid").write_text("<unk> 0\np225 1\nAnn 2\n", "utf-8")
    return release


def saying(out: Path, device: str, data: Path) -> list[str]:
    """Arguments of the command line."""
    flags = ["--engine", "espnet_vits", "--voice", VOICE, "--device", device]
    return ["say", TEXT, "-o", str(out), *flags, "--seed", str(SEED), "--data-dir", str(data)]


def post(url: str, **fields: Any) -> bytes:
    """What the HTTP interface answers to a request for WAV."""
    asked = {"model": "espnet_vits", "voice": VOICE, "input": TEXT, "seed": SEED, **fields}
    body = json.dumps({"response_format": "wav", **asked}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/v1/audio/speech", body, headers)
    ) as answer:
        content: bytes = answer.read()
    return content


def posted(url: str, device: str, **fields: Any) -> np.ndarray:
    """The samples of an answer that is sound."""
    return sound(io.BytesIO(post(url, device=device, **fields)))


def sound(file: Any) -> np.ndarray:
    samples, rate = soundfile.read(file)
    assert rate == RATE and abs(samples).max() > 0.01
    return samples


def assert_bob_is_unknown(url: str, device: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(url, device=device, controls={"speaker": "Bob"})
    assert refused.value.code == 400
    said = refused.value.read().decode()
    assert "Bob" in said and "p225, Ann" in said


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    """Two devices said the same."""
    assert one.shape == other.shape
    assert np.abs(one - other).max() < ROUNDING


def check_page(page: Page, url: str, device: str, expected: np.ndarray) -> None:
    """A person chooses the engine and a device on the page, and takes the expected sound home."""
    page.choose("Engine", "ESPnet VITS")
    page.wait_for("[...document.querySelectorAll('input')].some(i => i.value.includes('p225'))")
    page.choose("Device", device)
    page.tab.fill("#vv-settings [placeholder='random']", str(SEED))
    page.speak(TEXT)
    assert_same(sound(page.download("sound")), expected)
    with urllib.request.urlopen(f"{url}/v1/history?limit=1") as answer:
        [take] = json.load(answer)["takes"]
    assert (take["door"], take["device"], take["voice"]) == ("page", device, VOICE)
    page.tab.close()
    assert page.strays == [] and page.complaints == []
