"""`HiFiGanParts` as a graph for ONNX Runtime's CPU, where the exporter's is half as fast.

Time lies along the rows, so that upsampling is a matrix product whose result is read in another
shape. The residual blocks' convolutions go through the Fourier transform (`engines.nn.fourier`).
Rows outside the sound are held at zero only where a part has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engines.nn import conv_onnx
from engines.nn.hifigan import LAST_SLOPE, SLOPE
from engines.nn.hifigan_parts import Block, HiFiGanParts, Stage
from engines.nn.onnx_graph import Graph, Value
from engines.nn.valid_conv import ValidConv

if TYPE_CHECKING:
    import onnx

LEAST_OPSET = 16
FEW_CHANNELS = 64  # up to which the Fourier transform takes longer than it saves
IMAGES = 4


def write(
    parts: HiFiGanParts, inputs: Sequence[Value], outputs: Sequence[Value], opset: int
) -> onnx.ModelProto:
    """
    Args:
        parts: made of plain convolutions.
        inputs, outputs: what they are called, in the order of `HiFiGanParts.forward`.

    Raises:
        ValueError: the opset is too old.
    """
    if opset < LEAST_OPSET:
        raise ValueError(f"it takes opset {LEAST_OPSET} or a newer one")
    graph = Graph()
    z, start, frames, *rest = (each.name for each in inputs)
    latent, *before = inputs[-1 - len(parts.scales) :]
    g = graph.node("Reshape", rest[0], [1, -1]) if parts.cond is not None else ""

    held = int(latent.shape[2])
    z = graph.node("Concat", latent.name, z, axis=2)
    kept = [graph.node("Slice", z, [-held], [np.iinfo(np.int64).max], [2])]
    x = graph.node("Transpose", graph.node("Squeeze", z, [0]), perm=[1, 0])
    x = conv_onnx.unfolded(graph, x, parts.conv_pre)
    if parts.cond is not None:
        x = graph.node("Add", x, conv_onnx.conditioned(graph, parts.cond, g))
    rows = _Rows(graph, x, graph.node("Sub", start, held - parts.conv_pre.reach // 2), frames)
    x = rows.silenced_if_needed()
    for i, (stage, carried) in enumerate(zip(parts.stages, before, strict=True)):
        assert isinstance(stage, Stage)
        held = int(carried.shape[1])
        new = conv_onnx.unfolded(graph, graph.node("LeakyRelu", x, alpha=SLOPE), stage.up)
        new = graph.node("Reshape", new, [-1, stage.outputs])
        if parts.conds:
            new = graph.node("Add", new, conv_onnx.conditioned(graph, parts.conds[i], g))
        x = graph.node("Concat", graph.node("Squeeze", carried.name, [0]), new, axis=0)
        first = graph.node("Mul", graph.node("Add", rows.first, 1), stage.scale)
        first = graph.node("Sub", first, stage.lead + held)
        rows = _Rows(graph, x, first, graph.node("Mul", rows.end, stage.scale))
        kept.append(graph.node("Unsqueeze", rows.last_silenced_if_needed(held), [0]))
        last = parts.conv_post if stage is parts.stages[-1] else None
        x = _blocks(graph, stage, x, rows, last)
        reach = stage.reach + (last.reach // 2 if last else 0)
        rows = _Rows(graph, x, graph.node("Add", first, reach), rows.end)
    sound = graph.node("Tanh", rows.silenced_if_needed())
    made = [graph.node("Reshape", sound, [1, -1]), *kept]
    return graph.model("parts", inputs, list(zip(made, outputs, strict=True)), opset)


class _Rows:
    """Where the rows of a buffer are, as `hifigan_parts.Rows`.

    Args:
        x: the buffer.
        first, end: int64 [].
    """

    def __init__(self, graph: Graph, x: str, first: str, end: str) -> None:
        self._graph, self._x, self.first, self.end = graph, x, first, end
        self.count = graph.node("Shape", x, start=0, end=1)

    def leave_sound(self, graph: Graph) -> str:
        """Are some outside of it? bool []."""
        return graph.node(
            "Or", graph.node("Less", self.first, 0), graph.node("Greater", self._after(graph), 0)
        )

    def far(self, graph: Graph, reach: int, least: int) -> tuple[str, str]:
        """As `hifigan_parts.Rows.far`, each int64 []."""
        spare = graph.node("Squeeze", self.less(graph, least), [0])
        lead = graph.node("Min", graph.node("Sub", -reach, self.first), spare)
        lead = graph.node("Max", lead, 0)
        spare = graph.node("Sub", spare, lead)
        tail = graph.node("Min", graph.node("Sub", self._after(graph), reach), spare)
        return lead, graph.node("Max", tail, 0)

    def _after(self, graph: Graph) -> str:
        """Rows behind the sound's last, below 0 where there are none."""
        count = graph.node("Squeeze", self.count, [0])
        return graph.node("Sub", graph.node("Add", self.first, count), self.end)

    def less(self, graph: Graph, rows: int) -> str:
        """The buffer's number of rows less some, int64 [1]."""
        return graph.node("Sub", self.count, [rows])

    def silenced_if_needed(self) -> str:
        return self._graph.either(
            self.leave_sound(self._graph),
            lambda graph: self.silenced(graph, self._x, 0, 0),
            lambda graph: graph.node("Identity", self._x),
        )

    def last_silenced_if_needed(self, count: int) -> str:
        """The buffer's last rows."""

        def last(graph: Graph) -> str:
            return graph.node("Slice", self._x, [-count], [np.iinfo(np.int64).max], [0])

        def silenced(graph: Graph) -> str:
            x, before = last(graph), graph.node("Squeeze", self.less(graph, count), [0])
            there = _Rows(graph, x, graph.node("Add", self.first, before), self.end)
            return there.silenced(graph, x, 0, 0)

        return self._graph.either(self.leave_sound(self._graph), silenced, last)

    def silenced(self, graph: Graph, x: str, cut: int, missing: int) -> str:
        """Rows outside the sound at zero.

        Args:
            x: the buffer's rows from `cut` on; altogether it lacks `missing`.
        """
        return graph.node("Mul", x, graph.node("Unsqueeze", self.mask(graph, cut, missing), [1]))

    def mask(self, graph: Graph, cut: int = 0, missing: int = 0) -> str:
        """1 for rows of the sound, float32 [rows - missing]."""
        row = graph.node("Range", 0, graph.node("Squeeze", self.less(graph, missing), [0]), 1)
        row = graph.node("Add", row, graph.node("Add", self.first, cut))
        inside = graph.node(
            "And", graph.node("GreaterOrEqual", row, 0), graph.node("Less", row, self.end)
        )
        return graph.node("Cast", inside, to=graph.FLOAT)


def _blocks(graph: Graph, stage: Stage, x: str, rows: _Rows, last: ValidConv | None) -> str:
    """The sum of a stage's residual blocks on a buffer.

    Args:
        last: the convolution behind the last stage.
    """

    def near(inner: Graph) -> str:
        """Of the rows near the sound; what is made of others is silenced in any case."""
        reach = stage.reach + (last.reach // 2 if last else 0)
        lead, tail = rows.far(inner, reach, 2 * reach + 1)
        start = inner.node("Unsqueeze", lead, [0])
        cut = inner.node("Slice", x, start, inner.node("Sub", rows.count, tail), [0])
        there = _Rows(inner, cut, inner.node("Add", rows.first, lead), rows.end)
        cut = there.silenced(inner, cut, 0, 0)
        made = _Sound(stage, cut, there, last).added(inner, silence=True)
        ends = start, [0], inner.node("Unsqueeze", tail, [0]), [0]
        return inner.node("Pad", made, inner.node("Concat", *ends, axis=0))

    return graph.either(
        rows.leave_sound(graph),
        near,
        lambda inner: _Sound(stage, x, rows, last).added(inner, silence=False),
    )


class _Sound:
    """How the blocks' sum is made."""

    def __init__(self, stage: Stage, x: str, rows: _Rows, last: ValidConv | None) -> None:
        self._stage, self._x, self._rows, self._last = stage, x, rows, last

    def added(self, graph: Graph, *, silence: bool) -> str:
        if self._stage.outputs <= FEW_CHANNELS or self._last is not None:
            return self._as_images(graph, silence=silence)
        return self._as_rows(graph, silence=silence)

    def _as_images(self, graph: Graph, *, silence: bool) -> str:
        """By ONNX Runtime's own convolutions. Its fastest ones share out images among the cores,
        so the rows are cut into some, which overlap by what is lost at their ends."""
        reach = self._stage.reach + (self._last.reach // 2 if self._last else 0)
        wanted = self._rows.less(graph, 2 * reach)
        each = graph.node("Div", graph.node("Add", wanted, [IMAGES - 1]), [IMAGES])
        last = graph.node("Sub", wanted, each)
        starts = [
            graph.node("Div", graph.node("Mul", last, [i]), [IMAGES - 1]) for i in range(IMAGES)
        ]

        def images(x: str) -> str:
            """[channels, rows] → [IMAGES, channels, 1, each + 2 * reach]"""
            ends = [graph.node("Add", graph.node("Add", at, each), [2 * reach]) for at in starts]
            cuts = zip(starts, ends, strict=True)
            parts = [graph.node("Slice", x, start, end, [1]) for start, end in cuts]
            alone = [graph.node("Unsqueeze", part, [0, 2]) for part in parts]
            return graph.node("Concat", *alone, axis=0)

        mask = images(graph.node("Unsqueeze", self._rows.mask(graph), [0])) if silence else ""

        def silenced(x: str) -> str:
            return graph.node("Mul", x, mask) if silence else x

        x, total = images(graph.node("Transpose", self._x, perm=[1, 0])), ""
        active = graph.node("LeakyRelu", x, alpha=SLOPE)
        for block in self._stage.all_blocks():
            made, h = x, active
            for number, (conv1, conv2) in enumerate(block.pairs()):
                if number:
                    h = graph.node("LeakyRelu", made, alpha=SLOPE)
                h = silenced(
                    graph.node("LeakyRelu", conv_onnx.over_images(graph, h, conv1), alpha=SLOPE)
                )
                made = silenced(graph.node("Add", conv_onnx.over_images(graph, h, conv2), made))
            total = graph.node("Add", total, made) if total else made
        if self._last is not None:
            total = conv_onnx.over_images(
                graph, graph.node("LeakyRelu", total, alpha=LAST_SLOPE), self._last
            )
        y = graph.node("Transpose", graph.node("Squeeze", total, [2]), perm=[0, 2, 1])
        y = graph.node("Slice", y, [reach], graph.node("Add", each, [reach]), [1])
        # what two of them hold, as they were rounded up, is taken from the later one
        counts = [
            graph.node("Sub", *pair) for pair in zip([*starts[1:], wanted], starts, strict=True)
        ]
        parts = [
            graph.node("Slice", graph.node("Gather", y, number, axis=0), [0], count, [0])
            for number, count in enumerate(counts)
        ]
        return graph.node("Concat", *parts, axis=0)

    def _as_rows(self, graph: Graph, *, silence: bool) -> str:
        active, total = graph.node("LeakyRelu", self._x, alpha=SLOPE), ""
        for block in self._stage.all_blocks():
            made = self._one(graph, block, active, silence=silence)
            total = graph.node("Add", total, made) if total else made
        return total

    def _one(self, graph: Graph, block: Block, active: str, *, silence: bool) -> str:
        x, cut = self._x, self._stage.reach - block.reach
        skipped = cut  # rows of x and `active` that are not needed, at either end
        at = cut  # the buffer's row that x begins with, once it is rid of those
        for number, (conv1, conv2) in enumerate(block.pairs()):
            if number:
                active, skipped = graph.node("LeakyRelu", x, alpha=SLOPE), 0
            at += conv1.reach // 2
            h = conv_onnx.over_rows(graph, active, conv1, skipped, self._rows.less(graph, 2 * at))
            if silence:
                h = conv_onnx.cropped(graph, h, 0, self._rows.less(graph, 2 * at))
                h = self._rows.silenced(graph, h, at, 2 * at)
            h = graph.node("LeakyRelu", h, alpha=SLOPE)
            at += conv2.reach // 2
            wanted = self._rows.less(graph, 2 * at)
            h = conv_onnx.cropped(graph, conv_onnx.over_rows(graph, h, conv2, 0, wanted), 0, wanted)
            side = skipped + (conv1.reach + conv2.reach) // 2
            x = graph.node("Add", h, conv_onnx.cropped(graph, x, side, wanted))
            if silence:
                x = self._rows.silenced(graph, x, at, 2 * at)
        return x
