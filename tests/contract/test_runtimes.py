"""What every runtime promises, shown on small stages: padding changes nothing, runtimes agree,
ONNX Runtime needs no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import BadCheckpoint, EngineFailure
from engines.runtime import export
from engines.runtime.buckets import TooLong
from engines.runtime.eager import EagerRuntime
from engines.runtime.onnx_file import read_stage, stages_in
from engines.runtime.ort import OrtRuntime
from engines.runtime.quantise import quantise_file
from engines.runtime.stage import Length, MapStage, Port
from tests import toy_stages as toy
from tests.stage_checks import largest_change_by_padding

ROOT = Path(__file__).resolve().parents[2]

Inputs = Callable[[int], Mapping[str, np.ndarray]]

TOYS = [
    pytest.param(toy.encoder(), toy.text, id="encode"),
    pytest.param(toy.decoder(), toy.frames, id="decode"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both toys as ONNX."""
    folder = tmp_path_factory.mktemp("onnx")
    for stage in (toy.encoder(), toy.decoder()):
        export.export(stage, folder)
    return folder


@pytest.mark.parametrize(("stage", "inputs"), TOYS)
def test_padding_changes_nothing(stage: MapStage, inputs: Inputs) -> None:
    examples = [inputs(length) for length in (1, 2, 5, 8, 11, 13, 17)]
    assert largest_change_by_padding(stage, examples, toy.TABLE) < 1e-5


@pytest.mark.parametrize(
    ("stage", "inputs"),
    [
        pytest.param(toy.encoder(masked=False), toy.text, id="encode"),
        pytest.param(toy.decoder(masked=False), toy.frames, id="decode"),
    ],
)
def test_a_stage_without_masks_is_caught(stage: MapStage, inputs: Inputs) -> None:
    assert largest_change_by_padding(stage, [inputs(5)], toy.TABLE) > 1e-2


@pytest.mark.parametrize(("stage", "inputs"), TOYS)
@pytest.mark.parametrize("buckets", [None, toy.TABLE], ids=["exact", "bucketed"])
def test_onnx_runtime_computes_what_torch_does(
    stage: MapStage, inputs: Inputs, buckets: None, files: Path
) -> None:
    torch = EagerRuntime("cpu").bind(stage)
    onnx = OrtRuntime(buckets=buckets).bind(read_stage(files / f"{stage.name}.onnx"))
    for length in (1, 2, 3, 8, 13, 18):
        expected, made = torch(**inputs(length)), onnx(**inputs(length))
        for name, reference in expected.items():
            assert made[name].dtype == reference.dtype
            np.testing.assert_allclose(made[name], reference, rtol=1e-4, atol=1e-5)


def test_files_say_what_they_are(files: Path) -> None:
    stages = {stage.name: stage for stage in stages_in(files)}
    for original in (toy.encoder(), toy.decoder()):
        read = stages[original.name]
        file = files / f"{original.name}.onnx"
        assert read == replace(original, module=None, source=file)
    assert {path.name for path in files.iterdir()} == {"encode.onnx", "decode.onnx"}


@pytest.mark.parametrize("runtime", [EagerRuntime("cpu", buckets=toy.TABLE), OrtRuntime])
def test_longer_than_every_bucket_is_refused(runtime: object, files: Path) -> None:
    if runtime is OrtRuntime:
        bound = OrtRuntime(buckets=toy.TABLE).bind(read_stage(files / "encode.onnx"))
    else:
        bound = runtime.bind(toy.encoder())
    assert bound.longest("T_text") == 18
    with pytest.raises(TooLong, match=r"T_text of encode is 19\. At most 18"):
        bound(**toy.text(19))


def test_bfloat16_stays_near(files: Path) -> None:
    exact = EagerRuntime("cpu").bind(toy.decoder())(**toy.frames(20))["wav"]
    short = EagerRuntime("cpu", "bfloat16").bind(toy.decoder())(**toy.frames(20))["wav"]
    assert short.dtype == np.float32
    assert 0 < np.abs(short - exact).max() < 3e-2


def test_float32_means_float32_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_: module)  # there need be no GPU
    EagerRuntime("cuda:0", "bfloat16").bind(toy.decoder())
    assert torch.backends.cudnn.allow_tf32
    EagerRuntime("cuda:0").bind(toy.decoder())
    assert not torch.backends.cudnn.allow_tf32


def test_a_runtime_leaves_no_gradients_and_no_training() -> None:
    stage = replace(toy.decoder(), module=toy.Decoder().train())
    made = EagerRuntime("cpu").bind(stage)(**toy.frames(4))["wav"]
    assert made.shape == (1, 1, 16)
    assert not stage.module.training


# export


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_shorter_precisions(precision: export.Precision, tmp_path: Path) -> None:
    stage = toy.encoder()
    file = export.export(stage, tmp_path, precision=precision)
    rows = export.verify(stage, file, [toy.text(9)], precision=precision)
    m = next(row for row in rows if row.output == "m")
    assert m.passed
    assert m.relative > 1e-5, "nothing was computed in fewer bits"
    assert read_stage(file) == replace(stage, module=None, source=file)
    assert stage.module.embedding.weight.dtype.itemsize == 4, "the module itself stays as it was"


def test_half_precision_does_not_end_the_process(tmp_path: Path) -> None:
    """One of ONNX Runtime's optimisations crashes on this graph."""
    import torch

    from engines.espnet_vits.model import Generator
    from engines.espnet_vits.recipe import generator_config

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = generator_config(20, hidden_channels=32, text_encoder_blocks=1)
            self.encoder = Generator(config).text_encoder

        def forward(self, ids: torch.Tensor, text_lengths: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.encoder(ids, text_lengths)[1],)

    inputs = toy.encoder().inputs[:2]
    m = Port("m", "float32", (1, 32, "T_text"))
    stage = MapStage("encode", Text(), inputs, (m,), lengths={"text_lengths": "T_text"})
    file = export.export(stage, tmp_path, precision="fp16")
    opened = (
        "import sys; from pathlib import Path; from engines.runtime.ort import OrtRuntime;"
        "from engines.runtime.onnx_file import read_stage;"
        "print(OrtRuntime().bind(read_stage(Path(sys.argv[1]))).stage.name)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", opened, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "encode"), ran.stderr


def test_verification_is_a_table_that_can_fail(files: Path) -> None:
    stage = toy.encoder()
    examples = [
        export.random_inputs(stage, {"T_text": size}, below={"ids": toy.SYMBOLS}, seed=size)
        for size in (1, 6, 30)
    ]
    rows = export.verify(stage, files / "encode.onnx", examples)
    assert [(row.sizes, row.output, row.passed) for row in rows] == [
        ({"T_text": size}, output, True) for size in (1, 6, 30) for output in ("m", "durations")
    ]
    others = export.verify(toy.encoder(seed=1), files / "encode.onnx", examples)
    assert not any(row.passed for row in others if row.output == "m")


def test_random_inputs_need_a_bound_for_whole_numbers() -> None:
    with pytest.raises(ValueError, match="no bound for the values of ids"):
        export.random_inputs(toy.encoder(), {"T_text": 4}, below={})
    drawn = export.random_inputs(
        toy.encoder(), {"T_text": 400}, below={"ids": 3}, scalars={"noise_scale": 0.0}
    )
    assert set(drawn["ids"].ravel()) == {0, 1, 2}
    assert drawn["noise_scale"] == 0
    assert "text_lengths" not in drawn


def test_an_axis_of_one_size(tmp_path: Path) -> None:
    """For providers that take no dynamic shapes: shorter input is padded, longer refused."""
    file = export.export(toy.decoder(), tmp_path, fixed={"T_mel": 20})
    bound = OrtRuntime(buckets=toy.TABLE).bind(read_stage(file))
    expected = EagerRuntime("cpu").bind(toy.decoder())
    for length in (3, 20):
        np.testing.assert_allclose(
            bound(**toy.frames(length))["wav"], expected(**toy.frames(length))["wav"], atol=1e-5
        )
    with pytest.raises(TooLong, match="At most 20"):
        bound(**toy.frames(21))


def test_batches_keep_their_axis(tmp_path: Path) -> None:
    stage = toy.encoder(batch="B")
    bound = OrtRuntime().bind(read_stage(export.export(stage, tmp_path)))
    one, two = toy.text(9, seed=1), toy.text(6, seed=2)
    both = {
        "ids": np.concatenate([one["ids"], np.pad(two["ids"], ((0, 0), (0, 3)))]),
        "noise": np.concatenate([one["noise"], np.pad(two["noise"], ((0, 0), (0, 0), (0, 3)))]),
        "noise_scale": one["noise_scale"],
    }
    for bind in (bound, EagerRuntime("cpu").bind(stage)):
        made = bind(**both, text_lengths=[9, 6])["m"]
        np.testing.assert_allclose(made[:1], bind(**one)["m"], atol=1e-5)
        np.testing.assert_allclose(made[1:, :, :6], bind(**two)["m"], atol=1e-5)


def test_a_forward_that_takes_any_number_of_inputs(tmp_path: Path) -> None:
    import torch

    class Sum(torch.nn.Module):
        def forward(self, first: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor]:
            return (first + torch.stack(rest).sum(0),)

    ports = tuple(Port(name, "float32", (1, "T")) for name in "abc")
    stage = MapStage("sum", Sum(), ports, (Port("y", "float32", (1, "T")),))
    bound = OrtRuntime().bind(read_stage(export.export(stage, tmp_path)))
    x = np.ones((1, 5), np.float32)
    assert bound(a=x, b=2 * x, c=3 * x)["y"].tolist() == [[6] * 5]


def test_what_onnx_cannot_say_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    import torch

    class Looks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (x * 2 if x.sum().item() > 0 else x,)

    port = Port("x", "float32", ("T",))
    stage = MapStage("looks", Looks(), (port,), (replace(port, name="y"),))
    with pytest.raises(EngineFailure, match=r"Stage looks cannot be .* ONNX of opset 20: .*guard"):
        export.export(stage, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_declaration_is_found_when_it_runs() -> None:
    stage = replace(toy.decoder(), out_len={"T_wav": Length("T_mel", toy.HOP, -1)})
    with pytest.raises(EngineFailure, match=r"returned arrays of shapes.*Its declaration says"):
        EagerRuntime("cpu").bind(stage)(**toy.frames(4))


# damaged files


@pytest.mark.parametrize("size", [0, 1, 100, -1, -100])
def test_a_truncated_file_is_refused(size: int, files: Path, tmp_path: Path) -> None:
    whole = (files / "decode.onnx").read_bytes()
    broken = tmp_path / "decode.onnx"
    broken.write_bytes(whole[:size])
    with pytest.raises(BadCheckpoint, match=r"decode\.onnx .*app\.py convert"):
        read_stage(broken)


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1", b"\xff" * 200, b"PK\x03\x04"]
)
def test_another_kind_of_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "decode.onnx"
    file.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"cannot be read as an ONNX file.*app\.py convert"):
        read_stage(file)


def test_somebody_elses_model_is_refused(files: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(files / "decode.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "decode.onnx")
    with pytest.raises(BadCheckpoint, match="does not say what its inputs and outputs are"):
        stages_in(tmp_path)


def test_a_model_that_does_not_load_is_refused(files: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(files / "decode.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "decode.onnx")
    stage = read_stage(tmp_path / "decode.onnx")
    with pytest.raises(BadCheckpoint, match=r"decode\.onnx cannot be loaded"):
        OrtRuntime().bind(stage)
    with pytest.raises(BadCheckpoint, match=r"vanished\.onnx cannot be read"):
        OrtRuntime().bind(replace(stage, source=tmp_path / "vanished.onnx"))


@pytest.mark.parametrize("fixed", ["[]", "{", '{"T_mel": 0}', '{"T_mel": "x"}'])
def test_sizes_that_are_none_are_refused(fixed: str, files: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(files / "decode.onnx")
    for entry in model.metadata_props:
        entry.value = fixed if entry.key == "vivavoce.fixed" else entry.value
    onnx.save(model, tmp_path / "decode.onnx")
    with pytest.raises(BadCheckpoint, match="names sizes of its axes that cannot be read"):
        OrtRuntime().bind(read_stage(tmp_path / "decode.onnx"))


# without torch


def test_onnx_inference_loads_no_torch(files: Path) -> None:
    script = f"""
import sys
from pathlib import Path
import numpy as np
from engines.api import Capability, Support
from engines.memory import MemoryManager
from engines.runtime.buckets import Buckets
from engines.runtime.noise import normal
from engines.runtime.onnx_file import stages_in
from engines.runtime.residents import resident
from engines.runtime.support import open_runtime
folder = Path({str(files)!r})
toy = Capability("toy", "Toy", "", 16000, "", (Support("onnx", "float32", "supported"),))
runtime = open_runtime(toy, "onnx", buckets={{"T_mel": Buckets([8])}}, cache=folder)
memory = MemoryManager()
with memory.acquire("toy", lambda: resident(runtime, 1000, lambda _: stages_in(folder))) as stages:
    ids = np.arange(9)[None]
    made = stages["encode"](ids=ids, noise=normal(1, "d", (1, 2, 9)), noise_scale=0.8)
    z = np.repeat(made["m"], np.maximum(made["durations"][0], 1), axis=2)
    wav = stages["decode"](z=z)["wav"]
assert wav.shape[-1] == {toy.HOP} * z.shape[-1] and np.isfinite(wav).all()
memory.close()
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"torch", "onnx", "onnxscript"}}))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"


def test_threads_of_onnx_runtime_do_not_spin(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    from engines.runtime import threads

    used: list[onnxruntime.SessionOptions] = []
    real = onnxruntime.InferenceSession

    def watched(
        file: Path, options: onnxruntime.SessionOptions, providers: object, **others: object
    ) -> object:
        used.append(options)
        return real(file, options, providers, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    OrtRuntime().bind(read_stage(files / "decode.onnx"))
    (options,) = used
    assert options.intra_op_num_threads == threads.count()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_provider_whose_libraries_fail_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would go on with the CPU and say so only in its log."""
    import onnxruntime

    from engines.errors import UnsupportedRuntime

    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda file, *_, **__: real(file))
    with pytest.raises(UnsupportedRuntime, match=r"CUDAExecutionProvider.*do not load"):
        OrtRuntime("onnx:cuda").bind(read_stage(files / "decode.onnx"))


@pytest.mark.parametrize("bias", [False, True])
def test_a_plain_product_gets_fewer_bits_too(tmp_path: Path, bias: bool) -> None:
    stage = MapStage(
        "head",
        Wrapped(torch.nn.Linear(64, 96, bias=bias)),
        (Port("hidden", "float32", ("B", 64)),),
        (Port("logits", "float32", ("B", 96)),),
    )
    file = export.export(stage, tmp_path)
    size, draw = file.stat().st_size, np.random.default_rng(0)
    hidden = draw.standard_normal((3, 64)).astype(np.float32)
    exact = OrtRuntime().bind(read_stage(file))(hidden=hidden)["logits"]
    quantise_file(file, 8)
    made = OrtRuntime().bind(read_stage(file))(hidden=hidden)["logits"]
    assert file.stat().st_size < 0.6 * size
    assert 1e-5 < np.abs(made - exact).max() < 0.05 * np.abs(exact).max()


class Wrapped(torch.nn.Module):
    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.inner(x),)
