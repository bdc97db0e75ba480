"""Convolutions over time without padding in ONNX, of rows [T, C] as `ValidConv` takes them."""

from __future__ import annotations

from torch import Tensor, nn

from engines.nn import fourier
from engines.nn.onnx_graph import MICROSOFT, Graph
from engines.nn.valid_conv import PlainConv, ValidConv

FEW_TAPS, MANY_CHANNELS = 3, 256  # with which the Fourier transform saves next to nothing


def over_rows(graph: Graph, x: str, conv: ValidConv, skipped: int, wanted: str) -> str:
    """A convolution from row `skipped` of x on: [wanted and more, D], what is more of no use.

    Args:
        wanted: int64 [1].
    """
    if conv.taps <= FEW_TAPS and conv.channels >= MANY_CHANNELS:
        return unfolded(graph, x, conv, skipped, wanted)
    return _in_blocks(graph, x, conv, skipped, wanted)


def _in_blocks(graph: Graph, x: str, conv: ValidConv, skipped: int, wanted: str) -> str:
    weight, phases = _weight(conv), conv.dilation
    made = fourier.transform(fourier.size_for(conv.taps, conv.channels), conv.taps)
    step = made.results * phases
    blocks = graph.node("Div", graph.node("Add", wanted, [step - 1]), [step])
    column = graph.node("Range", 0, graph.node("Squeeze", blocks, [0]), 1)
    column = graph.node("Mul", column, step)
    if phases > 1:
        column = graph.node("Add", graph.node("Unsqueeze", column, [1]), list(range(phases)))
        column = graph.node("Reshape", column, [-1])
    offsets = [skipped + tap * phases for tap in range(made.size)]
    row = graph.node("Add", graph.node("Unsqueeze", column, [0]), graph.column(offsets))
    there = graph.node("Shape", x, start=0, end=1)
    row = graph.node("Min", row, graph.node("Sub", there, 1))  # beyond the end anything will do
    cut = graph.node("Reshape", graph.node("Gather", x, row, axis=0), [made.size, -1])
    points = graph.node("MatMul", _constant(graph, made.analysis), cut)
    points = graph.node("Reshape", points, [made.points, -1, conv.channels])
    mixed = graph.node("MatMul", points, _constant(graph, made.spectrum(weight)))
    if phases == 1:  # which also puts the results of each block beside each other
        each = _constant(graph, made.synthesis[None])
        y = graph.node("FusedMatMul", each, mixed, transBatchB=1, domain=MICROSOFT)
    else:
        mixed = graph.node("Reshape", mixed, [made.points, -1])
        y = graph.node("MatMul", _constant(graph, made.synthesis), mixed)
        y = graph.node("Reshape", y, [made.results, -1, phases * conv.outputs])
        y = graph.node("Transpose", y, perm=[1, 0, 2])
    y = graph.node("Reshape", y, [-1, conv.outputs])
    return y if conv.bias is None else graph.node("Add", y, _constant(graph, conv.bias))


def over_images(graph: Graph, x: str, conv: ValidConv) -> str:
    """Of images of height 1, [B, C, 1, T], with zeros around: as long as it was."""
    side = conv.reach // 2
    weight = graph.constant(_weight(conv)[:, :, None].numpy(), here=True)
    bias = [] if conv.bias is None else [graph.constant(conv.bias.numpy(), here=True)]
    pads, dilations = [0, side, 0, side], [1, conv.dilation]
    return graph.node("Conv", x, weight, *bias, pads=pads, dilations=dilations)


def unfolded(graph: Graph, x: str, conv: ValidConv, skipped: int = 0, wanted: str = "") -> str:
    """A convolution as one product of all taps side by side.

    Args:
        wanted: int64 [1]; "" for all that there is.
    """
    if not wanted:
        wanted = graph.node("Sub", graph.node("Shape", x, start=0, end=1), [conv.reach + skipped])
    firsts = [skipped + tap * conv.dilation for tap in range(conv.taps)]
    beside = graph.node("Concat", *(cropped(graph, x, each, wanted) for each in firsts), axis=1)
    weight = _weight(conv).permute(2, 1, 0).reshape(-1, conv.outputs)
    bias = [] if conv.bias is None else [_constant(graph, conv.bias)]
    return graph.node("Gemm", beside, _constant(graph, weight), *bias)


def conditioned(graph: Graph, conv: nn.Module, g: str) -> str:
    """A convolution of one tap over the condition [1, G] → [1, D]."""
    assert isinstance(conv, nn.Conv1d)
    weight = _constant(graph, conv.weight[:, :, 0].t())
    bias = [] if conv.bias is None else [_constant(graph, conv.bias)]
    return graph.node("Gemm", g, weight, *bias)


def cropped(graph: Graph, x: str, first: int, count: str) -> str:
    end = graph.node("Add", count, [first]) if first else count
    return graph.node("Slice", x, [first], end, [0])


def _weight(conv: ValidConv) -> Tensor:
    """[D, C, K]."""
    assert isinstance(conv, PlainConv)
    return conv.weight[:, :, 0].detach()


def _constant(graph: Graph, tensor: Tensor) -> str:
    return graph.constant(tensor.detach().float().cpu().numpy())
