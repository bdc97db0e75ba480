"""How each stage of the ESPnet VITS cases is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines.checkpoint import Report
from engines.espnet_vits import recipe, streaming, synthesis
from engines.espnet_vits.checkpoint import (
    examine_manifest,
    load_generator,
    open_release,
)
from engines.espnet_vits.model import DecodePart, Generator, WrittenDecodePart
from engines.espnet_vits.stages import decode_part, stages
from engines.espnet_vits.training import align, linear_spectrogram
from engines.nn import onednn
from engines.nn.alignment import best_path, hard_path, token_of_frame
from engines.nn.masks import length_mask
from engines.nn.spline import spline
from engines.runtime.stage import Bound
from tests.parity.espnet_vits_training import TrainingReplayer
from tests.parity.parts import Lazy, Part, Parts
from tests.parity.replay import Arrays, Case, Handler
from tests.parity.runtimes import Runtime

UNKNOWN_VOCABS = 78  # where a manifest does not know how many tokens there are

# Names in the cases, and those of the stages' inputs.
CONDITIONS = {"sids": "sid", "spembs": "spembs", "lids": "lid"}


class Replayer:
    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._folder = folder
        self._runtime = runtime
        self._training = TrainingReplayer(folder)
        self.release = cache(lambda name: open_release(folder / name))
        self.generator = cache(lambda name: load_generator(self.release(name), posterior=True))
        self._bound = cache(self._bind_stages)
        self._run = Parts(runtime).run

    def handler(self, stage: str) -> Handler | str | None:
        if stage in self._training.handlers:
            if self._runtime.name in ("eager", "padded"):
                return self._training.handlers[stage]
            return "training runs on eager torch"
        return getattr(self, f"_do_{stage}", None)

    def _bind_stages(self, name: str) -> Mapping[str, Bound]:
        generator = self.generator(name)
        made = stages(generator, masks=self._runtime.pads)
        if not self._runtime.pads:
            made["decode_part"] = decode_part(self._parts(generator), generator.config)
        return Lazy(lambda stage: self._runtime.bind(made[stage]))

    def _parts(self, generator: Generator) -> DecodePart:
        if self._runtime.name == "onnx":
            return WrittenDecodePart(generator)
        return DecodePart(generator, onednn.on_cpu(torch.float32))

    def _decoded(self, case: Case, z: np.ndarray, g: Arrays) -> np.ndarray:
        """As the program does it: in parts, where nothing is padded."""
        bound = self._bound(case.checkpoint)
        if self._runtime.pads:
            return synthesis.decode(bound, z, g)
        config = self.generator(case.checkpoint).config
        sizes = streaming.growing(streaming.LARGEST_PART)
        return np.concatenate(list(synthesis.decode_parts(bound, z, g, config, sizes)))

    def _do_text_encoder(self, case: Case) -> Arrays:
        encoder = self.generator(case.checkpoint).text_encoder
        part = Part(encoder, lambda each, ids, lengths: each(ids, lengths, leak=True))
        return self._run(case, part, case.inputs, "x", "m", "logs", "x_mask")

    def _do_global_condition(self, case: Case) -> Arrays:
        inputs = _conditions(case)
        names = list(inputs)
        part = Part(
            self.generator(case.checkpoint),
            lambda each, *given: each.condition(**dict(zip(names, given, strict=True))),
        )
        return self._run(case, part, inputs, "g")

    def _do_duration_predictor_reverse(self, case: Case) -> Arrays:
        predictor = self.generator(case.checkpoint).duration_predictor
        names = ("x", "x_mask", "noise_dur", "noise_scale_dur", "g")
        return self._run(case, Part(predictor), _ordered(case, *names), "logw")

    def _do_duration_predictor_forward(self, case: Case) -> Arrays:
        predictor = self.generator(case.checkpoint).duration_predictor
        part = Part(predictor, lambda each, *given: each.nll(*given))
        return self._run(case, part, _ordered(case, "x", "x_mask", "w", "noise_dur", "g"), "nll")

    def _do_flow_forward(self, case: Case) -> Arrays:
        flow = self.generator(case.checkpoint).flow
        return self._run(case, Part(flow), _ordered(case, "z", "y_mask", "g"), "z_p")

    def _do_flow_reverse(self, case: Case) -> Arrays:
        flow = self.generator(case.checkpoint).flow
        part = Part(flow, lambda each, z, mask, g=None: each(z, mask, g, inverse=True))
        return self._run(case, part, _ordered(case, "z_p", "y_mask", "g"), "z")

    def _do_posterior_encoder(self, case: Case) -> Arrays:
        encoder = self.generator(case.checkpoint).posterior_encoder
        inputs = _ordered(case, "feats", "feats_lengths", "noise_post", "g")
        return self._run(case, Part(encoder, _posterior), inputs, "z", "m", "logs", "y_mask")

    def _do_decoder(self, case: Case) -> Arrays:
        decoder = self.generator(case.checkpoint).decoder
        return self._run(case, Part(decoder), _ordered(case, "z", "g"), "wav")

    def _do_spline(self, case: Case) -> Arrays:
        inverse = bool(case.inputs["inverse"])
        names = ("inputs", "unnormalized_widths", "unnormalized_heights")
        inputs = _ordered(case, *names, "unnormalized_derivatives")
        part = Part(nn.Identity(), lambda _, *given: spline(*given, inverse=inverse))
        return self._run(case, part, inputs, "outputs", "logabsdet", variant=inverse)

    def _do_generate_path(self, case: Case) -> Arrays:
        mask = case.inputs["attn_mask"]
        path = np.zeros_like(mask)
        for item, durations in enumerate(case.inputs["dur"][:, 0]):
            found = hard_path(token_of_frame(durations), len(durations))[: mask.shape[2]]
            path[item, 0, : len(found)] = found
        return {"path": path * mask}

    def _do_maximum_path(self, case: Case) -> Arrays:
        score, mask = case.inputs["neg_x_ent"], case.inputs["attn_mask"]
        path = np.zeros_like(score)
        for item in range(len(score)):
            frames, tokens = int(mask[item, :, 0].sum()), int(mask[item, 0].sum())
            path[item, :frames, :tokens] = best_path(score[item, :frames, :tokens])
        return {"path": path}

    def _do_linear_spectrogram(self, case: Case) -> Arrays:
        feats, lengths = linear_spectrogram(
            torch.from_numpy(case.inputs["speech"]),
            torch.from_numpy(case.inputs["speech_lengths"]),
            self.release(case.checkpoint).config.features,
        )
        return {"feats": feats.transpose(1, 2).numpy(), "feats_lengths": lengths.numpy()}

    def _do_infer_noise0(self, case: Case) -> Arrays:
        return self._infer(case, 0.0, 0.0)

    def _do_infer_noise(self, case: Case) -> Arrays:
        scales = (float(case.inputs[name]) for name in ("noise_scale", "noise_scale_dur"))
        return self._infer(case, *scales)

    def _do_infer_durations(self, case: Case) -> Arrays:
        return self._infer(case, float(case.inputs["noise_scale"]), 0.0)

    def _infer(self, case: Case, noise_scale: float, noise_scale_dur: float) -> Arrays:
        given, bound = case.inputs, self._bound(case.checkpoint)
        ids = given["text"]
        text = synthesis.Text(
            ids,
            given.get("noise_dur", np.zeros((1, 2, len(ids)), np.float32)),
            _conditions(case),
            noise_scale_dur,
            float(given.get("alpha", synthesis.ALPHA)),
        )
        prior = synthesis.encode(bound, text, given.get("durations"))
        noise = given.get("noise_z", np.zeros_like(prior.m))
        if self._runtime.pads and "max_len" not in given:
            wav = synthesis.speak(bound, prior, noise, noise_scale)
        else:
            z = synthesis.latent(bound, prior, noise, noise_scale)
            longest = int(given.get("max_len", z.shape[2]))
            wav = self._decoded(case, z[:, :, :longest], prior.g)
        path = hard_path(prior.token, len(ids))
        return {"wav": wav, "att_w": path, "duration": prior.durations}

    def _do_infer_teacher_forcing(self, case: Case) -> Arrays:
        generator, release = self.generator(case.checkpoint), self.release(case.checkpoint)
        given = case.inputs
        with torch.inference_mode():
            x_mask, m, logs, g = _encoded(generator, given["text"][None], _conditions(case))
            speech = torch.from_numpy(given["speech"])[None]
            feats, lengths = linear_spectrogram(
                speech, torch.tensor([speech.shape[1]]), release.config.features
            )
            noise = torch.from_numpy(given["noise_post"])
            z, _, _, y_mask = _posterior(
                generator.posterior_encoder, feats.transpose(1, 2), lengths, noise, g
            )
            path = align(generator.flow(z, y_mask, g), m, logs, x_mask, y_mask)[0].numpy()
        condition = {} if g is None else {"g": g.numpy()}
        wav = self._decoded(case, (z * y_mask).numpy(), condition)
        return {"wav": wav, "att_w": path, "duration": path.sum(0).astype(np.int64)}

    def _do_mel_spectrogram(self, case: Case) -> Arrays:
        return self._training.mel_spectrogram(case)

    def _do_discriminator(self, case: Case) -> Arrays:
        return self._training.discriminator(case)


def manifest_report(file: str, shapes: Mapping[str, Mapping[str, Any]]) -> tuple[Report, str]:
    """The recipes' model in the sizes that a release's data decide, held against a file."""
    known = {
        key: {**each, "shape": [UNKNOWN_VOCABS if n is None else n for n in each["shape"]]}
        for key, each in shapes.items()
    }

    def shape(key: str) -> list[int]:
        return known.get(f"tts.generator.{key}", {}).get("shape") or [0, 0]

    speakers, languages = shape("global_emb.weight"), shape("lang_emb.weight")
    channels, vector = shape("spemb_proj.weight")
    sizes = {
        "spks": speakers[0],
        "langs": languages[0],
        "spk_embed_dim": vector,
        "global_channels": speakers[1] or languages[1] or channels or -1,
    }
    if shape("decoder.upsamples.4.1.weight_v") != [0, 0]:
        sizes |= recipe.FULL_BAND
    config = recipe.generator_config(shape("text_encoder.emb.weight")[0], **sizes)
    training = recipe.training_config(config)
    return examine_manifest(known, config, training, file), ", ".join(
        f"{name} {value}" for name, value in sizes.items() if isinstance(value, int) and value > 0
    ) or "one speaker"


def _encoded(
    generator: Generator, ids: np.ndarray, conditions: Arrays
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    _, m, logs, mask = generator.text_encoder(torch.from_numpy(ids), torch.tensor([ids.shape[1]]))
    given = {name: torch.from_numpy(each) for name, each in conditions.items()}
    return mask, m, logs, generator.condition(**given)


def _posterior(
    encoder: nn.Module, feats: Tensor, lengths: Tensor, noise: Tensor, g: Tensor | None = None
) -> tuple[Tensor, ...]:
    """[B, T, F], as the cases have it, to sample, mean, deviation and mask."""
    mask = length_mask(lengths, feats.shape[1], feats.dtype)
    return (*encoder(feats.transpose(1, 2), mask, noise, g), mask)


def _conditions(case: Case) -> dict[str, np.ndarray]:
    """Under the stages' names, in their order; a single x-vector becomes a batch of one."""
    found = {ours: case.inputs[name] for name, ours in CONDITIONS.items() if name in case.inputs}
    if "spembs" in found:
        found["spembs"] = np.atleast_2d(found["spembs"])
    return found


def _ordered(case: Case, *names: str) -> dict[str, np.ndarray]:
    return {name: case.inputs[name] for name in names if name in case.inputs}
