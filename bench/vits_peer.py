"""ESPnet's own VITS, measured as a worker of `bench.vits`: python -m bench.vits_peer FOLDER.

It makes the release that both sides speak with, and the sound that both have to give.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bench import vits_sentence as sentence
from bench.workers import serve
from engines.espnet_vits.recipe import generator_config

SITE = Path(__file__).resolve().parent.parent / ".venv-bench"
CONFIG, WEIGHTS = "exp/tts/config.yaml", "exp/tts/weights.pth"


def main(folder: Path) -> None:
    sys.path += map(str, SITE.glob("lib/python3*/site-packages"))
    warnings.simplefilter("ignore")
    from espnet2.gan_tts.vits.generator import VITSGenerator

    params = generator_config(sentence.SYMBOLS).model_dump()
    torch.manual_seed(0)
    model = VITSGenerator(**{key: _as_lists(each) for key, each in params.items()}).eval()
    write_release(folder, params, model.state_dict())
    ids = torch.from_numpy(sentence.ids())
    durations = torch.from_numpy(sentence.durations())

    def once() -> Mapping[str, Any]:
        with torch.inference_mode():
            wav, *_ = model.inference(
                text=ids[None],
                text_lengths=torch.tensor([len(ids)]),
                dur=durations[None, None].float(),
                noise_scale=0.0,
            )
        np.save(folder.with_name("peer.npy"), wav[0].numpy())  # not into the release
        return {}

    once()
    serve(once, {"torch": torch.__version__})


def write_release(folder: Path, params: dict[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    fields = {
        "tts": "vits",
        "tts_conf": {"generator_params": {key: _as_lists(each) for key, each in params.items()}},
        "token_list": sentence.tokens(),
        "token_type": "phn",
        "cleaner": None,
        "g2p": None,
    }
    files = {"files": {"model_file": WEIGHTS}, "yaml_files": {"train_config": CONFIG}}
    (folder / CONFIG).parent.mkdir(parents=True)
    (folder / CONFIG).write_text(yaml.safe_dump(fields), "utf-8")
    (folder / "meta.yaml").write_text(yaml.safe_dump(files), "utf-8")
    named = {f"tts.generator.{key}": each for key, each in state.items()}
    torch.save(named, folder / WEIGHTS)


def _as_lists(value: Any) -> Any:
    return [_as_lists(each) for each in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
