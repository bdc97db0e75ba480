"""HiFi-GAN: latent frames to a waveform by transposed convolutions and dilated residual blocks.

B batch, C latent channels, G channels of the global condition, T frames, hop samples a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.nn.masks import length_mask, masked

SLOPE = 0.1
LAST_SLOPE = 0.01  # the original's, which left torch's default at its last activation


def same_conv(
    channels: int, out: int, kernel: int, dilation: int = 1, *, bias: bool = True
) -> nn.Conv1d:
    padding = (kernel - 1) // 2 * dilation
    return nn.Conv1d(channels, out, kernel, padding=padding, dilation=dilation, bias=bias)


def convolve(conv: nn.Module, x: Tensor) -> Tensor:
    """A convolution over time of [B, 1, T, C], as one over an image of height 1.

    Libraries have faster code for images with their channels last, and reorder nothing then.
    """
    assert isinstance(conv, nn.Conv1d)
    y = functional.conv2d(
        x.permute(0, 3, 1, 2),
        conv.weight[:, :, None],
        conv.bias,
        padding=(0, int(conv.padding[0])),
        dilation=(1, conv.dilation[0]),
    )
    return y.permute(0, 2, 3, 1)


def upsample(up: nn.Module, x: Tensor) -> Tensor:
    """[B, 1, T, C] → [B, 1, scale * T, C / 2]: a transposed convolution whose kernel is twice its
    scale, as an ordinary one that gives `scale` samples a frame."""
    assert isinstance(up, nn.ConvTranspose1d)
    inputs, outputs, size = up.weight.shape
    scale, cut = size // 2, int(up.padding[0])
    weight = up.weight.reshape(inputs, outputs, 2, scale).flip(2)  # the frame before comes first
    weight = weight.permute(3, 1, 0, 2).reshape(scale * outputs, inputs, 1, 2)
    bias = None if up.bias is None else up.bias.repeat(scale)
    y = functional.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=(0, 1))
    samples = y.permute(0, 2, 3, 1).reshape(x.shape[0], 1, -1, outputs)
    return samples[:, :, cut : cut + scale * x.shape[2]]


class ResBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]):
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv(channels, channels, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(same_conv(channels, channels, kernel) for _ in dilations)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, 1, T, C] → the same; `mask` [B, 1, T, 1]."""
        for conv1, conv2 in zip(self.convs1, self.convs2, strict=True):
            h = convolve(conv1, masked(functional.leaky_relu(x, SLOPE), mask))
            h = functional.leaky_relu(h, SLOPE, inplace=True)  # fresh memory costs more than sums
            x = convolve(conv2, masked(h, mask)).add_(x)
        return x


class HiFiGan(nn.Module):
    """
    Args:
        channels: C.
        width: channels before the first upsampling; each halves them.
        kernel: of the first and the last convolution.
        scales: upsampling factors; their product is the hop.
        resblocks: kernel and dilations of each block of a stage; their mean is taken.
        condition: G, 0 where there is no global condition.
        condition_each: the condition is added after every upsampling as well.
        post_bias: of the last convolution.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int,
        scales: Sequence[int],
        resblocks: Sequence[tuple[int, Sequence[int]]],
        condition: int = 0,
        *,
        condition_each: bool = False,
        post_bias: bool = True,
    ):
        super().__init__()
        self.scales = tuple(scales)
        self.blocks = len(resblocks)
        self.conv_pre = same_conv(channels, width, kernel)
        self.cond = nn.Conv1d(condition, width, 1) if condition > 0 else None
        widths = [width // 2**i for i in range(len(scales) + 1)]
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(
                widths[i],
                widths[i + 1],
                2 * scale,
                scale,
                padding=scale // 2 + scale % 2,
                output_padding=scale % 2,
            )
            for i, scale in enumerate(scales)
        )
        self.resblocks = nn.ModuleList(
            ResBlock(each, size, dilations) for each in widths[1:] for size, dilations in resblocks
        )
        self.conds = nn.ModuleList(
            nn.Conv1d(condition, each, 1) for each in (widths[1:] if condition_each else ())
        )
        self.conv_post = same_conv(widths[-1], 1, kernel, bias=post_bias)

    @property
    def hop(self) -> int:
        return prod(self.scales)

    def forward(self, z: Tensor, g: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """
        Args:
            z: [B, C, T].
            g: [B, G, 1].
            lengths: int64 [B]: true frames, where `z` is padded. What is real then comes out as
                if there were no padding. Without padding leave it out: masks cost time.

        Returns:
            [B, 1, hop * T] in [-1, 1].
        """
        x = z.transpose(1, 2)[:, None]
        x = convolve(self.conv_pre, masked(x, _mask(lengths, x, 1)))
        if self.cond is not None and g is not None:
            x = x + self.cond(g).transpose(1, 2)[:, None]
        blocks, size, hop = list(self.resblocks), self.blocks, 1
        for i, (up, scale) in enumerate(zip(self.ups, self.scales, strict=True)):
            x = upsample(up, masked(functional.leaky_relu(x, SLOPE), _mask(lengths, x, hop)))
            if self.conds and g is not None:
                x = x + self.conds[i](g).transpose(1, 2)[:, None]
            hop *= scale
            mask = _mask(lengths, x, hop)
            total = blocks[i * size](x, mask)
            for block in blocks[i * size + 1 : (i + 1) * size]:
                total = total.add_(block(x, mask))
            x = total.div_(size)
        x = masked(functional.leaky_relu(x, LAST_SLOPE), _mask(lengths, x, hop))
        return torch.tanh(convolve(self.conv_post, x))[:, 0].transpose(1, 2)


def _mask(lengths: Tensor | None, x: Tensor, hop: int) -> Tensor | None:
    if lengths is None:
        return None
    return length_mask(lengths * hop, x.shape[2], x.dtype)[..., None]
