"""How the training stages of the ESPnet VITS cases are replayed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.checkpoint import KeyMap, published
from engines.espnet_vits import training
from engines.espnet_vits.checkpoint import (
    discriminator_keys,
    generator_keys,
    load_for_training,
    open_release,
)
from engines.espnet_vits.losses import log_mel
from engines.espnet_vits.training_config import training_config
from tests.parity.replay import Arrays, Case, Handler


class TrainingReplayer:
    """Dropout is off in all cases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._release = cache(lambda name: open_release(folder / name))
        self._models = cache(self._load)
        self.handlers: dict[str, Handler] = {
            "train_generator_forward": self._forward,
            "train_generator_loss": self._generator_loss,
            "train_discriminator_loss": self._discriminator_loss,
            "train_generator_grad": self._generator_grad,
            "train_discriminator_grad": self._discriminator_grad,
        }

    def mel_spectrogram(self, case: Case) -> Arrays:
        config = self._config(case).mel_loss_params
        return {"logmel": log_mel(torch.from_numpy(case.inputs["wav"]), config).numpy()}

    def discriminator(self, case: Case) -> Arrays:
        _, discriminator = self._models(case.checkpoint)
        with torch.no_grad():
            found = discriminator(torch.from_numpy(case.inputs["wav"]))
        return {
            f"d{i}_l{j}": each.numpy()
            for i, maps in enumerate(found)
            for j, each in enumerate(maps)
        }

    def _load(self, name: str) -> tuple[training.Generator, training.Discriminator]:
        generator, discriminator = load_for_training(self._release(name))
        return generator.eval(), discriminator.eval()

    def _config(self, case: Case) -> training.TrainingConfig:
        release = self._release(case.checkpoint)
        return training_config(release.config, release.meta.config)

    def _made(self, case: Case) -> training.Forward:
        given = {name: torch.from_numpy(each) for name, each in case.inputs.items()}
        batch = training.Batch(
            given["text"],
            given["text_lengths"],
            given["speech"],
            given["speech_lengths"],
            sid=given.get("sids"),
            spembs=given.get("spembs"),
            lid=given.get("lids"),
        )
        draws = training.Draws(given["noise_post"], given["noise_dur"], given["rand_segment"])
        generator, _ = self._models(case.checkpoint)
        return training.forward(
            generator, batch, draws, self._release(case.checkpoint).config.features
        )

    def _forward(self, case: Case) -> Arrays:
        with torch.no_grad():
            made = self._made(case)
        names = ("feats_lengths", "wav", "dur_nll", "x_mask", "y_mask", "z", "z_p")
        names += ("m_p", "logs_p", "m_q", "logs_q")
        return {
            **{name: getattr(made, name).numpy() for name in names},
            "attn": made.path[:, None].numpy(),
            "start_idxs": made.start.numpy(),
            "speech_segment": made.speech.numpy(),
        }

    def _generator_loss(self, case: Case) -> Arrays:
        with torch.no_grad():
            loss = self._generator_turn(case)
        return _losses(loss, ("mel", "kl", "dur", "adv", "feat_match"))

    def _discriminator_loss(self, case: Case) -> Arrays:
        with torch.no_grad():
            loss = self._discriminator_turn(case)
        return _losses(loss, ("real", "fake"))

    def _generator_grad(self, case: Case) -> Arrays:
        generator, discriminator = self._models(case.checkpoint)
        generator.zero_grad()
        self._generator_turn(case).total.backward()
        discriminator.zero_grad()
        keys = generator_keys(generator.config, posterior=True)
        return self._gradients(case, generator, keys)

    def _discriminator_grad(self, case: Case) -> Arrays:
        _, discriminator = self._models(case.checkpoint)
        discriminator.zero_grad()
        self._discriminator_turn(case).total.backward()
        keys = discriminator_keys(self._config(case).discriminator_params)
        return self._gradients(case, discriminator, keys)

    def _generator_turn(self, case: Case) -> training.GeneratorLoss:
        _, discriminator = self._models(case.checkpoint)
        return training.generator_loss(self._made(case), discriminator, self._config(case))

    def _discriminator_turn(self, case: Case) -> training.DiscriminatorLoss:
        _, discriminator = self._models(case.checkpoint)
        return training.discriminator_loss(self._made(case), discriminator, self._config(case))

    def _gradients(self, case: Case, module: nn.Module, keys: KeyMap) -> Arrays:
        parameters = dict(module.named_parameters())
        gradients = {
            key: np.zeros(parameters[name].shape, np.float32)
            if parameters[name].grad is None
            else parameters[name].grad.numpy()
            for key, name in published(module, keys).items()
        }
        norms = [np.linalg.norm(gradients[key]) for key in self._order(case, list(gradients))]
        found = {"grad_norms": np.array(norms, np.float32)}
        return found | {f"grad.{key}": each for key, each in gradients.items()}

    def _order(self, case: Case, known: list[str]) -> list[str]:
        """Names in the order of the case's norms: as `grad_keys.json` lists them."""
        file = self._folder / "grad_keys.json"
        if not file.is_file():
            return sorted(known)
        order = json.loads(file.read_text("utf-8"))[case.checkpoint][case.stage]
        assert sorted(order) == sorted(known), set(order) ^ set(known)
        return order


def _losses(loss: object, parts: tuple[str, ...]) -> Arrays:
    names = {"loss": "total", **{f"{part}_loss": part for part in parts}}
    return {name: getattr(loss, ours).reshape(1).numpy() for name, ours in names.items()}
