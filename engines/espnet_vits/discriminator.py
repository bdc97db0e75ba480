"""HiFi-GAN's discriminators as ESPnet builds them: scales, then periods.

B batch, T samples.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engines.espnet_vits.training_config import DiscriminatorConfig, PeriodConfig, ScaleConfig

FIRST_GROUPS = 4  # of the first strided layer; each later one has four times as many


class ScaleDiscriminator(nn.Module):
    """Grouped one-dimensional convolutions."""

    def __init__(self, config: ScaleConfig):
        super().__init__()
        first, middle, last, out = config.kernel_sizes
        width, bias, most = config.channels, config.bias, config.max_downsample_channels
        convs = [nn.Conv1d(1, width, first, padding=first // 2, bias=bias)]
        groups, wider = FIRST_GROUPS, width
        for stride in config.downsample_scales:
            convs.append(
                nn.Conv1d(
                    width, wider, middle, stride, padding=middle // 2, groups=groups, bias=bias
                )
            )
            width, wider = wider, min(2 * wider, most)
            groups = min(4 * groups, config.max_groups)
        convs.append(nn.Conv1d(width, wider, last, padding=last // 2, bias=bias))
        self.convs = nn.ModuleList(convs)
        self.post = nn.Conv1d(wider, 1, out, padding=out // 2, bias=bias)
        self.slope = config.slope

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, 1, T] → what each layer gives, the verdict [B, 1, ...] last."""
        maps = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), self.slope)
            maps.append(x)
        return [*maps, self.post(x)]


class PeriodDiscriminator(nn.Module):
    """Two-dimensional convolutions over samples that lie a period apart."""

    def __init__(self, config: PeriodConfig, period: int):
        super().__init__()
        kernel, out = config.kernel_sizes
        self.period, self.slope = period, config.slope
        before, width = 1, config.channels
        convs = []
        for stride in config.downsample_scales:
            convs.append(
                nn.Conv2d(before, width, (kernel, 1), (stride, 1), padding=(kernel // 2, 0))
            )
            before, width = width, min(4 * width, config.max_downsample_channels)
        self.convs = nn.ModuleList(convs)
        # One shorter than configured with the padding of the full one: a frame more comes out.
        self.post = nn.Conv2d(width, 1, (out - 1, 1), padding=(out // 2, 0))

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, 1, T] → what each layer gives, the verdict [B, ...] last."""
        x = functional.pad(x, (0, -x.shape[-1] % self.period), "reflect")
        x = x.view(*x.shape[:2], -1, self.period)
        maps = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), self.slope)
            maps.append(x)
        return [*maps, self.post(x).flatten(1)]


class Discriminator(nn.Module):
    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.scales = nn.ModuleList(
            ScaleDiscriminator(config.scale_discriminator_params) for _ in range(config.scales)
        )
        self.periods = nn.ModuleList(
            PeriodDiscriminator(config.period_discriminator_params, period)
            for period in config.periods
        )
        pooling = config.scale_downsample_pooling_params
        self.pool = nn.AvgPool1d(pooling.kernel_size, pooling.stride, pooling.padding)

    def forward(self, wav: Tensor) -> list[list[Tensor]]:
        """[B, 1, T] → the maps of each discriminator, scales first."""
        found = []
        x = wav
        for i, scale in enumerate(self.scales):
            x = self.pool(x) if i else x
            found.append(scale(x))
        return found + [period(wav) for period in self.periods]
