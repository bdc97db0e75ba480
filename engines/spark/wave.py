"""BiCodec's wave generator: frames to samples by transposed convolutions and residual units.

B batch, D channels of a frame, C channels within, T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.nn.hifigan import same_conv
from engines.nn.masks import length_mask, masked
from engines.nn.snake import Snake
from engines.spark.config import DILATIONS, KERNEL, WaveConfig


class Unit(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1 = Snake(channels)
        self.conv1 = same_conv(channels, channels, KERNEL, dilation)
        self.snake2 = Snake(channels)
        self.conv2 = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.conv2(self.snake2(self.conv1(self.snake1(masked(x, mask))))).add_(x)


class Upsample(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.snake = Snake(channels)
        self.up = nn.ConvTranspose1d(channels, out, kernel, rate, padding=(kernel - rate) // 2)
        self.units = nn.ModuleList(Unit(out, dilation) for dilation in DILATIONS)


class WaveGenerator(nn.Module):
    def __init__(self, config: WaveConfig) -> None:
        super().__init__()
        widths = [config.channels // 2**i for i in range(len(config.rates) + 1)]
        self.conv_pre = same_conv(config.input_channel, widths[0], KERNEL)
        self.blocks = nn.ModuleList(
            Upsample(widths[i], widths[i + 1], kernel, rate)
            for i, (rate, kernel) in enumerate(zip(config.rates, config.kernel_sizes, strict=True))
        )
        self.snake_post = Snake(widths[-1])
        self.conv_post = same_conv(widths[-1], 1, KERNEL)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """
        Args:
            x: [B, D, T].
            lengths: int64 [B]: true frames, where `x` is padded. Without padding leave it out:
                masks cost time.

        Returns:
            [B, 1, hop * T] in [-1, 1].
        """
        x = self.conv_pre(masked(x, _mask(lengths, x, 1)))
        hop = 1
        for block in self.blocks:
            assert isinstance(block, Upsample)
            x = block.up(block.snake(masked(x, _mask(lengths, x, hop))))
            hop *= block.rate
            mask = _mask(lengths, x, hop)
            for unit in block.units:
                x = unit(x, mask)
        return torch.tanh(self.conv_post(self.snake_post(masked(x, _mask(lengths, x, hop)))))


def _mask(lengths: Tensor | None, x: Tensor, hop: int) -> Tensor | None:
    # Snake leaves zero at zero, so what is masked before it is zero for the convolution after it
    return None if lengths is None else length_mask(lengths * hop, x.shape[-1], x.dtype)
