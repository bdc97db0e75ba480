"""HiFi-GAN part by part: what a part needs of those before is carried, and nothing is done twice.

Every convolution is done without padding. Of each stage's input the last rows are carried to the
next part, so the sound comes `delay` samples behind the frames. Rows before the first frame and
behind the last are held at zero throughout, as padding is in one pass, so that the parts joined are
what one pass gives.

C latent channels, G channels of the global condition, T_part frames of a part, hop samples a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.nn.hifigan import LAST_SLOPE, SLOPE, HiFiGan, ResBlock
from engines.nn.valid_conv import MakeConv, ValidConv


@dataclass(frozen=True)
class Rows:
    """Where the rows of a buffer are: the sound has those from 0 to before `end`.

    Attributes:
        first: number of the buffer's first row.
        mask: [rows, 1] instead of looking at the numbers, for runtimes that are handed a graph.
    """

    first: Tensor | int
    end: Tensor | int
    mask: Tensor | None = None

    def silenced(self, x: Tensor, cut: int) -> Tensor:
        """Rows outside the sound at zero, possibly in place.

        Args:
            x: [rows, channels], the buffer's rows but the first `cut` and some of the last.
        """
        if self.mask is not None:
            return x * self.mask[cut : cut + x.shape[0]].to(x.dtype)
        before, inside = -int(self.first + cut), int(self.end - self.first) - cut
        if before > 0:
            x[:before] = 0
        if inside < x.shape[0]:
            x[max(0, inside) :] = 0
        return x

    def far(self, x: Tensor, reach: int, least: int) -> tuple[int, int]:
        """How many of a buffer's first and last rows are further from the sound than `reach`;
        `least` are left in any case."""
        if self.mask is not None:
            return 0, 0
        spare = x.shape[0] - least
        lead = max(0, min(-int(self.first) - reach, spare))
        after = int(self.first - self.end) + x.shape[0]
        return lead, max(0, min(after - reach, spare - lead))


# rows of a buffer, number of the first, number after the sound's last → where they are
Place = Callable[[int, "Tensor | int", "Tensor | int"], Rows]


def at_hand(_: int, first: Tensor | int, end: Tensor | int) -> Rows:
    """For runtimes that run what is written: the numbers may be looked at."""
    return Rows(int(first), int(end))


def in_graph(rows: int, first: Tensor | int, end: Tensor | int) -> Rows:
    """For runtimes that are handed a graph."""
    assert isinstance(first, Tensor)
    row = torch.arange(rows, device=first.device) + first
    mask = (row >= 0) & (row < end)
    return Rows(first, end, mask[:, None])


class HiFiGanParts(nn.Module):
    """
    Args:
        whole: whose weights it takes.
        make: makes its convolutions.
        place: finds out where rows are.
    """

    def __init__(self, whole: HiFiGan, make: MakeConv, place: Place = at_hand) -> None:
        super().__init__()
        self.place, self.scales = place, whole.scales
        self.cond, self.conds = whole.cond, whole.conds
        self.conv_pre = _conv(whole.conv_pre, make)
        blocks, size = list(whole.resblocks), whole.blocks
        shares = (1.0, *[1 / size] * len(whole.scales))  # blocks are only summed, then shared out
        self.stages = nn.ModuleList(
            Stage(up, blocks[i * size : (i + 1) * size], make, shares[i])
            for i, up in enumerate(whole.ups)
        )
        self.conv_post = _conv(whole.conv_post, make, shares[-1])

    def forward(
        self, z: Tensor, start: Tensor, frames: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """
        Args:
            z: [1, C, T_part]; zeros behind the last frame.
            start: int64 [], frames of the parts before.
            frames: int64 [], of the whole sound.
            rest: the condition [1, G, 1] where the model has one; then what is carried, zeros at
                first: [1, C, rows], and for each stage [1, rows, channels], of as many rows as
                `engines.nn.reach.hifigan_carry` tells.

        Returns:
            [1, hop * T_part], zeros outside the sound, and what is carried.
        """
        latent, *carry = rest[-1 - len(self.scales) :]
        z = torch.cat([latent, z], 2)
        kept = [z[:, :, z.shape[2] - latent.shape[2] :]]
        x = self.conv_pre(z[0].t())
        g = rest[0] if self.cond is not None else None
        if self.cond is not None:
            x = x + self.cond(g)[:, :, 0]
        rows = self.place(x.shape[0], start - latent.shape[2] + self.conv_pre.reach // 2, frames)
        x = rows.silenced(x, 0)
        for i, (stage, before) in enumerate(zip(self.stages, carry, strict=True)):
            assert isinstance(stage, Stage)
            held = before.shape[1]
            new = stage.upsampled(functional.leaky_relu(x, SLOPE))
            if self.conds:
                new = new + self.conds[i](g)[:, :, 0]
            first = (rows.first + 1) * stage.scale - stage.lead - held
            rows = self.place(held + new.shape[0], first, rows.end * stage.scale)
            x = rows.silenced(torch.cat([before[0], new]), 0)
            kept.append(x[None, x.shape[0] - held :])
            x = stage(x, rows)
            rows = replace(rows, first=rows.first + stage.reach)
        wav = torch.tanh(self.conv_post(functional.leaky_relu(x, LAST_SLOPE)))
        rows = self.place(wav.shape[0], rows.first + self.conv_post.reach // 2, rows.end)
        return (rows.silenced(wav, 0).t(), *kept)


class Stage(nn.Module):
    """An upsampling, and the sum of the residual blocks behind it."""

    def __init__(
        self, up: nn.Module, blocks: list[nn.Module], make: MakeConv, share: float
    ) -> None:
        super().__init__()
        assert isinstance(up, nn.ConvTranspose1d)
        channels, self.outputs, size = up.weight.shape
        self.scale, self.lead = size // 2, int(up.padding[0])
        # two rows give `scale` rows: the frame before comes first
        weight = share * up.weight.reshape(channels, self.outputs, 2, self.scale).flip(2)
        weight = weight.permute(3, 1, 0, 2).reshape(-1, channels, 2)
        bias = None if up.bias is None else up.bias.repeat(self.scale)
        self.up = make(weight, bias, 1)
        self.blocks = nn.ModuleList(Block(each, make) for each in blocks)
        self.reach = max(block.reach for block in self.all_blocks())

    def all_blocks(self) -> list[Block]:
        return [each for each in self.blocks if isinstance(each, Block)]

    def upsampled(self, x: Tensor) -> Tensor:
        """[n + 1, channels] → [scale * n, channels / 2]."""
        y: Tensor = self.up(x)
        return y.reshape(-1, self.outputs)

    def forward(self, x: Tensor, rows: Rows) -> Tensor:
        """[rows, channels] → the same without `reach` rows at either end."""
        lead, tail = rows.far(x, self.reach, 2 * self.reach + 1)
        if lead or tail:  # what is made of them is silenced in any case
            near = x[lead : x.shape[0] - tail]
            total = self._added(near, Rows(rows.first + lead, rows.end))
            return functional.pad(total, (0, 0, lead, tail))
        return self._added(x, rows)

    def _added(self, x: Tensor, rows: Rows) -> Tensor:
        active, total = functional.leaky_relu(x, SLOPE), None
        for block in self.all_blocks():
            cut = self.reach - block.reach
            inner = slice(cut, x.shape[0] - cut)
            made = block(x[inner], active[inner], rows, cut)
            total = made if total is None else total.add_(made)
        assert total is not None
        return total


class Block(nn.Module):
    def __init__(self, block: nn.Module, make: MakeConv) -> None:
        super().__init__()
        assert isinstance(block, ResBlock)
        self.convs = nn.ModuleList(
            _conv(each, make)
            for pair in zip(block.convs1, block.convs2, strict=True)
            for each in pair
        )
        self.reach = sum(one.reach + two.reach for one, two in self.pairs()) // 2

    def pairs(self) -> list[tuple[ValidConv, ValidConv]]:
        convs = [each for each in self.convs if isinstance(each, ValidConv)]
        return list(zip(convs[::2], convs[1::2], strict=True))

    def forward(self, x: Tensor, active: Tensor, rows: Rows, cut: int) -> Tensor:
        """
        Args:
            x: [rows, channels].
            active: the same, activated.
            cut: rows of the buffer before these.
        """
        for number, (conv1, conv2) in enumerate(self.pairs()):
            if number:
                active = functional.leaky_relu(x, SLOPE)
            inner = cut + conv1.reach // 2
            h = rows.silenced(conv1.activated(active, SLOPE), inner)
            side = (conv1.reach + conv2.reach) // 2
            cut += side
            x = rows.silenced(conv2.added(h, x[side : x.shape[0] - side]), cut)
        return x


def _conv(conv: nn.Module, make: MakeConv, share: float = 1.0) -> ValidConv:
    assert isinstance(conv, nn.Conv1d)
    return make(share * conv.weight, conv.bias, conv.dilation[0])
