"""HiFi-GAN in parts, on each of its three kinds of convolutions, beside one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, repeat

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from engines.memory import TorchModule
from engines.nn import fourier, hifigan_onnx, onednn
from engines.nn.hifigan import HiFiGan
from engines.nn.hifigan_parts import HiFiGanParts, in_graph
from engines.nn.onnx_graph import Graph, Value
from engines.nn.reach import hifigan_carry
from engines.nn.valid_conv import PlainConv

C, G, FRAMES = 6, 5, 75
SHAPES = {
    "vits": {"width": 32, "scales": (4, 2), "resblocks": ((3, (1, 3)), (5, (1, 2)))},
    "odd": {"width": 16, "scales": (3, 2), "resblocks": ((3, (1, 3, 5)),), "post_bias": False},
    "told": {"width": 16, "scales": (2, 2), "resblocks": ((3, (1,)),), "condition": G},
    "told each": {
        "width": 24,
        "scales": (2, 4),
        "resblocks": ((7, (1, 3)), (3, (1, 2))),
        "condition": G,
        "condition_each": True,
    },
    # channels enough for the Fourier transform
    "widest": {"width": 512, "scales": (2, 2), "resblocks": ((3, (1, 3)),)},
    "wide": {"width": 256, "scales": (2, 2), "resblocks": ((3, (1, 3)), (11, (1, 5)))},
}
# z, start, frames, the condition and what is carried → sound, and what is carried
Part = Callable[..., list[np.ndarray]]


def made(name: str) -> HiFiGan:
    torch.manual_seed(3)
    whole = HiFiGan(C, kernel=7, **SHAPES[name]).eval().requires_grad_(False)
    for parameter in whole.parameters():
        parameter.normal_(0, 0.3 / max(1, parameter[0].numel()) ** 0.5)
    return whole


def carried(name: str) -> list[tuple[int, int, int]]:
    shape = SHAPES[name]
    rows = hifigan_carry(7, shape["scales"], shape["resblocks"]).rows
    widths = (shape["width"] // 2 ** (i + 1) for i in range(len(rows)))
    return [(1, C, rows[0]), *((1, each, w) for each, w in zip(rows[1:], widths, strict=False))]


def on_torch(parts: HiFiGanParts) -> Part:
    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            return [each.numpy() for each in parts(*map(torch.as_tensor, arrays))]

    return run


def on_onnx(parts: HiFiGanParts, name: str) -> Part:
    condition = [Value("g", "float32", (1, G, 1))] if parts.cond is not None else []
    shapes = carried(name)
    inputs = [
        Value("z", "float32", (1, C, "T_part")),
        Value("start", "int64", ()),
        Value("frames", "int64", ()),
        *condition,
        *(Value(f"held_{i}", "float32", shape) for i, shape in enumerate(shapes)),
    ]
    outputs = [
        Value("wav", "float32", (1, "T_wav")),
        *(Value(f"kept_{i}", "float32", shape) for i, shape in enumerate(shapes)),
    ]
    model = hifigan_onnx.write(parts, inputs, outputs, 20)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [each.name for each in inputs]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


KINDS: dict[str, Callable[[HiFiGan, str], Part]] = {
    "plain": lambda whole, _: on_torch(HiFiGanParts(whole, PlainConv)),
    "masked": lambda whole, _: on_torch(HiFiGanParts(whole, PlainConv, in_graph)),
    "onednn": lambda whole, _: on_torch(HiFiGanParts(whole, onednn.on_cpu(torch.float32))),
    "onnx": lambda whole, name: on_onnx(HiFiGanParts(whole, PlainConv), name),
}


def joined(part: Part, name: str, z: np.ndarray, g: list[np.ndarray], sizes: Iterable[int]):
    shape = SHAPES[name]
    hop = int(np.prod(shape["scales"]))
    carry = hifigan_carry(7, shape["scales"], shape["resblocks"])
    frames, behind = z.shape[2], -(-carry.delay // hop)
    z = np.pad(z, ((0, 0), (0, 0), (0, behind)))
    held = [np.zeros(each, np.float32) for each in carried(name)]
    sound, start = [], 0
    for size in sizes:
        now = z[:, :, start : start + size]
        numbers = np.asarray(start, np.int64), np.asarray(frames, np.int64)
        wav, *held = part(now, *numbers, *g, *held)
        assert wav.shape == (1, hop * now.shape[2])
        assert [each.shape for each in held] == carried(name)
        sound.append(wav[0])
        start += size
        if start >= z.shape[2]:
            break
    before, made, after = np.split(np.concatenate(sound), carry.delay + np.array([0, hop * frames]))
    assert not before.any() and not after.any()
    return made


def given_of(name: str, frames: int = FRAMES) -> tuple[np.ndarray, list[np.ndarray]]:
    draw = np.random.default_rng(frames)
    z = draw.standard_normal((1, C, frames), np.float32)
    told = [draw.standard_normal((1, G, 1), np.float32)] if "condition" in SHAPES[name] else []
    return z, told


def in_one(whole: HiFiGan, z: np.ndarray, g: list[np.ndarray]) -> np.ndarray:
    return whole(torch.from_numpy(z), *map(torch.from_numpy, g))[0, 0].numpy()


def sizes_of(seed: int) -> Iterator[int]:
    draw = np.random.default_rng(seed)
    while True:
        yield int(draw.integers(1, 40))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_parts_joined_are_what_one_pass_gives(kind, name) -> None:
    whole = made(name)
    part = KINDS[kind](whole, name)
    for frames in (1, 2, 17, FRAMES):
        z, g = given_of(name, frames)
        expected = in_one(whole, z, g)
        assert np.abs(expected).max() > 1e-2, "silence would agree with anything"
        for sizes in (repeat(1), repeat(16), cycle([30, 3]), sizes_of(frames), repeat(1000)):
            sound = joined(part, name, z, g, sizes)
            np.testing.assert_allclose(sound, expected, atol=2e-5)


def test_bfloat16_is_near() -> None:
    whole = made("vits")
    parts = HiFiGanParts(whole, onednn.on_cpu(torch.bfloat16)).to(torch.bfloat16)

    def part(z, start, frames, *held):
        floats = (torch.as_tensor(each).bfloat16() for each in held)
        numbers = torch.as_tensor(start), torch.as_tensor(frames)
        with torch.inference_mode():
            out = parts(torch.as_tensor(z).bfloat16(), *numbers, *floats)
        return [each.float().numpy() for each in out]

    z, g = given_of("vits")
    expected = in_one(whole, z, g)
    sound = joined(part, "vits", z, g, repeat(16))
    assert np.abs(sound - expected).max() < 0.05 * np.abs(expected).max()


@settings(max_examples=60, deadline=None)
@given(taps=st.integers(1, 15), extra=st.integers(0, 12), seed=st.integers(0, 2**32 - 1))
def test_the_fourier_transform_is_a_correlation(taps, extra, seed) -> None:
    size = taps + extra + (taps + extra) % 2
    found = fourier.transform(size, taps)
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(size, dtype=torch.float64, generator=draw)
    w = torch.randn(taps, dtype=torch.float64, generator=draw)
    y = found.synthesis @ ((found.kernel @ w) * (found.analysis @ x))
    torch.testing.assert_close(y, functional.conv1d(x[None, None], w[None, None])[0, 0])


@pytest.mark.parametrize("taps", [1, 3, 7, 11, 13, 31])
@pytest.mark.parametrize("channels", [8, 128, 512])
def test_a_block_holds_its_kernel(taps, channels) -> None:
    size = fourier.size_for(taps, channels)
    assert size % 2 == 0
    assert size >= 2 * taps


def test_an_old_opset_is_refused() -> None:
    with pytest.raises(ValueError, match="opset 16"):
        hifigan_onnx.write(HiFiGanParts(made("vits"), PlainConv), [], [], 15)


def test_weights_in_onednns_order_are_counted() -> None:
    if not onednn.is_there():
        pytest.skip("this torch has no oneDNN for x86")
    parts = HiFiGanParts(made("vits"), onednn.on_cpu(torch.float32))
    least = 4 * sum(each.numel() for each in made("vits").parameters())
    resident = TorchModule("cpu", 0, lambda _: parts)
    resident.load(None)
    assert least <= resident.footprint().device < 1.1 * least + 10_000


def test_a_graph_holds_an_array_once() -> None:
    graph = Graph()
    x = Value("x", "float32", ("T",))
    same = np.arange(3, dtype=np.float32)
    y = graph.node("Add", graph.node("Mul", "x", graph.constant(same)), graph.constant(same))
    flag = graph.node("Greater", graph.node("Squeeze", graph.node("Shape", "x"), [0]), 2)
    y = graph.either(
        flag, lambda inner: inner.node("Neg", y), lambda inner: inner.node("Identity", y)
    )
    model = graph.model("tiny", [x], [(y, Value("y", "float32", ("T",)))], 20)
    assert len([each for each in model.graph.initializer if list(each.dims) == [3]]) == 1
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [found] = session.run(None, {"x": np.ones(3, np.float32)})
    np.testing.assert_array_equal(found, [0, -2, -4])
