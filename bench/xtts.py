"""XTTS v2 in stages beside the library that it comes from, at full size with random weights:
`python -m bench.xtts`. Two threads, about 7 GB of memory and 6 GB of disk."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

THREADS = 2
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))

from bench import report  # noqa: E402
from engines.api import CancelToken, EngineContext  # noqa: E402
from engines.coqui.engine import CoquiEngine  # noqa: E402
from engines.coqui.xtts import loading, synthesis  # noqa: E402
from engines.coqui.xtts.checkpoint import SPEAKING, load_parts  # noqa: E402
from engines.coqui.xtts.config import WEIGHTS, read_config  # noqa: E402
from engines.coqui.xtts.speaking import How, XttsRelease  # noqa: E402
from engines.coqui.xtts.stages import speaking  # noqa: E402
from engines.coqui.xtts.text import Tokenizer  # noqa: E402
from engines.decode import Sampler, Sampling  # noqa: E402
from engines.memory import MemoryManager  # noqa: E402
from engines.runtime import threads  # noqa: E402
from tests.xtts_release import library_model, write_release  # noqa: E402

FULL: Mapping[str, Any] = {"gpt_use_perceiver_resampler": True}  # all else is the default
PIECES = 6681
CODES = 48  # of a sentence
ROUNDS, FIRSTS, LOADS = 3, 2, 2
TEXT = "this is a sentence of a usual length that both of them say in a voice of their own."
HOW = How(Sampling(temperature=0.75, top_k=50, top_p=0.85, repetition_penalty=10.0))
SIDES = {"fp32, torch": ("cpu", "fp32"), "fp32": ("onnx", "fp32"), "int8": ("onnx", "int8")}


def convert(folder: Path) -> dict[str, Path]:
    """Folders of the same release with the stages that speak as ONNX files, by precision."""
    from engines.runtime.export import export
    from engines.runtime.export_step import export_step

    config = read_config(folder)
    parts = load_parts(folder, config, SPEAKING, Tokenizer(folder).size)
    gpt, decoder = speaking(parts, config, masks=False)
    made = {}
    for precision in ("fp32", "int8"):
        target = made[precision] = folder.with_name(f"{folder.name}-{precision}")
        onnx = target / loading.ONNX_FOLDER
        export_step(gpt, onnx, precision=precision)  # type: ignore[arg-type]
        for file in folder.iterdir():
            os.link(file, target / file.name)
        if precision == "fp32":
            sound = export(decoder, onnx)  # type: ignore[arg-type]
        else:
            os.link(sound, onnx / sound.name)
    return made


def loaded(folder: Path) -> list[report.Figure]:
    (folder / WEIGHTS).read_bytes()  # into the system's cache, for both
    sides: dict[str, list[dict[str, float]]] = {"library": [], "ours": []}
    for _ in range(LOADS):
        for side, found in sides.items():
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "bench.xtts_loading",
                side,
                str(folder),
            ]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    size = (folder / WEIGHTS).stat().st_size
    theirs, ours = (min(each["seconds"] for each in found) for found in sides.values())
    peaks = [max(each["peak"] for each in found) for found in sides.values()]
    return [
        report.Figure(
            "loading: memory at its peak / size of the file",
            peaks[1] / size,
            1.15,
            at_most=True,
            detail=f"{peaks[1] / 1e9:.2f} GB of {size / 1e9:.2f}; the library {peaks[0] / 1e9:.2f}",
        ),
        report.Figure(
            "loading: time / the library's",
            ours / theirs,
            0.7,
            at_most=True,
            detail=f"{ours:.1f} s and {theirs:.1f} s, the better of {LOADS}",
        ),
    ]


def library_codes(model: Any, voice: Mapping[str, Any]) -> None:
    import torch

    ids = torch.IntTensor(model.tokenizer.encode(TEXT, "en"))[None]
    with torch.inference_mode():
        found = model.gpt.generate(
            voice["gpt_cond_latent"],
            ids,
            do_sample=True,
            temperature=HOW.sampling.temperature,
            top_k=HOW.sampling.top_k,
            top_p=HOW.sampling.top_p,
            repetition_penalty=HOW.sampling.repetition_penalty,
        )
    assert found.shape[1] == CODES


def release_of(folder: Path, memory: MemoryManager) -> XttsRelease:
    context = EngineContext(folder.parent, folder.parent / "cache", memory)
    return XttsRelease(folder, folder.name, CoquiEngine.capability, context)


def our_codes(release: XttsRelease, device: str) -> None:
    encoded, speaker = release.encode(TEXT, "en"), next(iter(release.speakers.values()))
    sampler = Sampler(HOW.sampling, 0, before=synthesis.heard_before(release.config))
    memory, cancel = release._context.memory, CancelToken()
    with (
        release._lease(loading.SPEAKING_STAGES, device, cancel) as bound,
        bound["gpt"].start(memory, f"codes {release.folder.name} {device}") as sequences,
    ):
        latents = synthesis.latents(
            sequences, encoded.ids, speaker, sampler, release.config, cancel
        )
        assert len(list(islice(latents, CODES))) == CODES


def our_first(release: XttsRelease, device: str) -> None:
    encoded, speaker = release.encode(TEXT, "en"), next(iter(release.speakers.values()))
    given = {"device": device, "seed": 1, "name": "", "cancel": CancelToken()}
    assert len(next(release.say(encoded, speaker, HOW, **given))) > 0


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def medians(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """All sides in turn, so that whatever else the machine does meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            taken = seconds(work)
            if round_:  # the first warms up
                found[name].append(taken)
    return {name: statistics.median(each) for name, each in found.items()}


def spoken(folders: Mapping[str, Path]) -> list[report.Figure]:
    import torch

    torch.set_num_threads(threads.configure(THREADS))
    memory = MemoryManager()
    sides = {
        name: (release_of(folders[precision], memory), device)
        for name, (device, precision) in SIDES.items()
    }
    model = library_model(folders["fp32"])
    model.gpt.max_gen_mel_tokens = CODES
    speaker = next(iter(sides["fp32"][0].speakers.values()))
    voice = {
        "gpt_cond_latent": torch.from_numpy(speaker.latents)[None],
        "speaker_embedding": torch.from_numpy(speaker.embedding)[None, :, None],
    }
    codes = medians(
        {
            "library": lambda: library_codes(model, voice),
            **{name: lambda side=side: our_codes(*side) for name, side in sides.items()},
        },
        ROUNDS,
    )
    first = medians(
        {
            "library": lambda: next(model.inference_stream(TEXT, "en", **voice)),
            **{name: lambda side=side: our_first(*side) for name, side in sides.items()},
        },
        FIRSTS,
    )
    memory.close()
    return [*_rates(codes), *_firsts(first)]


def _rates(codes: Mapping[str, float]) -> Sequence[report.Figure]:
    library = CODES / codes["library"]
    return [
        report.Figure(
            f"codes a second, {name}: ours / the library's",
            codes["library"] / codes[name],
            2.5 if name == "int8" else 1.3,
            at_most=False,
            detail=f"{CODES / codes[name]:.1f} and {library:.1f} a second, prompt included",
        )
        for name in SIDES
    ]


def _firsts(first: Mapping[str, float]) -> Sequence[report.Figure]:
    return [
        report.Figure(
            f"first part of a stream, {name}: ours / the library's",
            first[name] / first["library"],
            0.6,
            at_most=True,
            detail=f"{first[name]:.2f} s and {first['library']:.2f} s",
        )
        for name in SIDES
    ]


def main() -> int:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="vivavoce-xtts-") as scratch:
        folder = write_release(Path(scratch) / "full", sizes=FULL, pieces=PIECES)
        figures = loaded(folder)
        return report.publish("xtts", "XTTS v2", [*figures, *spoken(convert(folder))])


if __name__ == "__main__":
    sys.exit(main())
