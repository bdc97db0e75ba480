"""The monotonic rational-quadratic spline of Neural Spline Flows, with linear tails.

K bins. Leading axes are free: the logits have the inputs' shape and one axis more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-3  # width, height and derivative of a bin
EDGE_SLACK = 1e-6  # the last edge is raised by this before a bin is looked for
# softplus of this, plus LEAST, is 1: the spline meets its tails with their slope
EDGE_LOGIT = math.log(math.exp(1 - LEAST) - 1)


def spline(
    x: Tensor,
    widths: Tensor,
    heights: Tensor,
    derivatives: Tensor,
    *,
    inverse: bool = False,
    bound: float = 5.0,
) -> tuple[Tensor, Tensor]:
    """Map `x` monotonically within [-bound, bound]; outside it stays as it is.

    Args:
        x: [...].
        widths, heights: logits of the bins, [..., K].
        derivatives: logits of the slopes at the K - 1 inner edges, [..., K - 1].

    Returns:
        The mapped values and the logarithm of the derivative there, both [...].
    """
    inside = (x >= -bound) & (x <= bound)
    # No boolean indexing: shapes may not depend on values. What lies outside is computed at an
    # edge and thrown away.
    y, logdet = _within(x.clamp(-bound, bound), widths, heights, derivatives, inverse, bound)
    return torch.where(inside, y, x), torch.where(inside, logdet, torch.zeros_like(logdet))


def _edges(logits: Tensor, bound: float) -> Tensor:
    """Bin edges [..., K + 1] from -bound to bound."""
    bins = logits.shape[-1]
    shares = LEAST + (1 - LEAST * bins) * functional.softmax(logits, dim=-1)
    inner = 2 * bound * torch.cumsum(shares, dim=-1)[..., :-1] - bound
    first = torch.full_like(shares[..., :1], -bound)
    return torch.cat([first, inner, -first], dim=-1)


def _within(
    x: Tensor,
    widths: Tensor,
    heights: Tensor,
    derivatives: Tensor,
    inverse: bool,
    bound: float,
) -> tuple[Tensor, Tensor]:
    edges_x, edges_y = _edges(widths, bound), _edges(heights, bound)
    sizes_x, sizes_y = edges_x.diff(dim=-1), edges_y.diff(dim=-1)
    slopes = LEAST + functional.softplus(functional.pad(derivatives, (1, 1), value=EDGE_LOGIT))

    edges = edges_y if inverse else edges_x
    last = edges[..., -1:] + EDGE_SLACK
    reached = x[..., None] >= torch.cat([edges[..., :-1], last], dim=-1)
    index = reached.sum(dim=-1, keepdim=True) - 1

    def here(values: Tensor) -> Tensor:
        return values.gather(-1, index)[..., 0]

    x0, y0, dx, dy = here(edges_x), here(edges_y), here(sizes_x), here(sizes_y)
    d0, d1, s = here(slopes[..., :-1]), here(slopes[..., 1:]), here(sizes_y / sizes_x)
    bend = d0 + d1 - 2 * s

    if inverse:
        rise = x - y0
        a = rise * bend + dy * (s - d0)
        b = dy * d0 - rise * bend
        c = -s * rise
        # Rounding can bring the discriminant of a double root just below zero.
        t = 2 * c / (-b - torch.sqrt((b.square() - 4 * a * c).clamp(min=0)))
    else:
        t = (x - x0) / dx
    mid = t * (1 - t)
    base = s + bend * mid
    y = t * dx + x0 if inverse else y0 + dy * (s * t.square() + d0 * mid) / base
    slope = s.square() * (d1 * t.square() + 2 * s * mid + d0 * (1 - t).square())
    logdet = torch.log(slope) - 2 * torch.log(base)
    return y, -logdet if inverse else logdet
