"""A file's tensors into a module: weight norm folded or kept, every difference reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.checkpoint.keys import KeyMap, half, shown
from engines.errors import BadCheckpoint

if TYPE_CHECKING:
    from torch import Tensor, nn

State = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class Wrong:
    """A tensor that is there, but not as it should be: shape or dtype."""

    key: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.key} (expected {self.expected}, found {self.found})"


@dataclass(frozen=True)
class Report:
    """How a file's tensors differ from a model's, by their published names."""

    file: str
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong: tuple[Wrong, ...] = ()

    @property
    def ok(self) -> bool:
        return not (self.missing or self.unexpected or self.wrong)

    def __str__(self) -> str:
        parts = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of the wrong shape or kind", [str(each) for each in self.wrong]),
        )
        found = [f"{len(keys)} {name}: {shown(keys)}" for name, keys in parts if keys]
        return f"{self.file}: " + ("; ".join(found) if found else "every tensor fits")

    def __add__(self, other: Report) -> Report:
        """Of two parts of one file."""
        return Report(
            self.file,
            self.missing + other.missing,
            self.unexpected + other.unexpected,
            self.wrong + other.wrong,
        )

    def check(self) -> None:
        """
        Raises:
            BadCheckpoint: there is a difference.
        """
        if not self.ok:
            raise BadCheckpoint(
                f"The weights do not fit the configuration. {self}.",
                "Each tensor of the model is needed, in its shape, and no other.",
                "Use weights and configuration of the same release.",
            )


def fold(state: State, file: str) -> dict[str, Tensor]:
    """Weight norm multiplied out, in both of its published layouts; other tensors as they are.

    The norm is over all dimensions but the one that the lengths run along: the first, which for a
    transposed convolution is the input channel, or the last.

    Raises:
        BadCheckpoint: only one half is there, or their shapes do not belong together.
    """
    folded: dict[str, Tensor] = {}
    halves: dict[str, dict[int, tuple[str, Tensor]]] = {}
    for key, tensor in state.items():
        if found := half(key):
            halves.setdefault(found[0], {})[found[1]] = key, tensor
        else:
            folded[key] = tensor
    for name, pair in halves.items():
        if len(pair) == 1:
            key = next(iter(pair.values()))[0]
            Report(file, missing=(f"the other half of {key}",)).check()
        if name in folded:
            Report(file, unexpected=(name,)).check()
        (length_key, length), (_, direction) = pair[0], pair[1]
        ones = [1] * (direction.dim() - 1)
        expected = [*direction.shape[:1], *ones], [*ones, *direction.shape[-1:]]
        if list(length.shape) not in expected:
            wrong = Wrong(length_key, str(expected[0]), str(list(length.shape)))
            Report(file, wrong=(wrong,)).check()
        if direction.is_meta:  # it has no values, and a norm on meta imports torch's compiler
            folded[name] = direction
            continue
        along = expected.index(list(length.shape)) and direction.dim() - 1
        norm = direction.movedim(along, 0).flatten(1).norm(dim=1).view(length.shape)
        folded[name] = direction * (length / norm)
    return folded


def renamed(state: State, keys: KeyMap) -> dict[str, Tensor]:
    """Tensors under our names, the dropped ones left out."""
    pairs = ((keys.own(key), tensor) for key, tensor in state.items())
    return {key: tensor for key, tensor in pairs if key is not None}


def compare(expected: State, found: State, keys: KeyMap, file: str) -> Report:
    """Both under our names; the report has the published ones."""
    return Report(
        file,
        missing=tuple(keys.published(key) for key in expected if key not in found),
        unexpected=tuple(keys.published(key) for key in found if key not in expected),
        wrong=tuple(
            Wrong(keys.published(key), _kind(each), _kind(found[key]))
            for key, each in expected.items()
            if key in found and _kind(found[key]) != _kind(each)
        ),
    )


def examine(module: nn.Module, state: State, keys: KeyMap, file: str) -> Report:
    """How a file's tensors, under published names, differ from what a module needs."""
    return compare(module.state_dict(), fold(renamed(state, keys), file), keys, file)


def load(module: nn.Module, state: State, keys: KeyMap, file: str, *, mapped: bool = True) -> None:
    """Put a file's tensors into a module, which may lie on the meta device.

    Args:
        state: under published names, in either layout of weight norm.
        mapped: the tensors may lie in a file that is read piece by piece; where they do not, they
            become the module's without a copy.

    Raises:
        BadCheckpoint: anything is missing, unexpected or of the wrong shape.
    """
    found = fold(renamed(state, keys), file)
    compare(module.state_dict(), found, keys, file).check()
    if mapped:
        # A file that is read piece by piece must not stay open behind the weights.
        found = {key: each.clone() for key, each in found.items()}
    module.load_state_dict(found, assign=True)


def load_trainable(module: nn.Module, state: State, keys: KeyMap, file: str) -> None:
    """The same with weight norm kept, exactly where the file has it: its halves are what is
    trained."""
    from torch import nn
    from torch.nn.utils.parametrizations import weight_norm

    own = renamed(state, keys)
    compare(module.state_dict(), fold(own, file), keys, file).check()
    found: dict[str, Tensor] = {}
    for key, each in own.items():
        name, index = half(key) or (key, None)
        if index is None:
            found[key] = each.clone()
            continue
        owner = name.removesuffix(".weight")
        if index == 1:
            normed = module.get_submodule(owner)
            normed.weight = nn.Parameter(each.clone())  # on the CPU, whatever the module lies on
            weight_norm(normed, dim=0)
        found[f"{owner}.parametrizations.weight.original{index}"] = each.clone()
    module.load_state_dict(found, assign=True)


def published(module: nn.Module, keys: KeyMap) -> dict[str, str]:
    """Published name → ours for every parameter of a module that `load_trainable` filled; weight
    norm under `weight_g` and `weight_v`."""
    names: dict[str, str] = {}
    for name, _ in module.named_parameters():
        found = half(name)
        key = name if found is None else f"{found[0]}_{'gv'[found[1]]}"
        names[keys.published(key)] = name
    return names


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules that are built here get no memory and no random start: their weights come from a
    file. Drawing on the meta device would import torch's compiler, which takes seconds."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if getattr(func, "__name__", "") in ("uniform_", "normal_"):
                return args[0] if args else kwargs["tensor"]
            return func(*args, **(kwargs or {}))

    with torch.device("meta"), Undrawn():
        yield


def described(shapes: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """Tensors without contents, on the meta device, of a manifest: `{key: {"shape", "dtype"}}`."""
    import torch

    return {
        key: torch.empty(each["shape"], dtype=getattr(torch, each["dtype"]), device="meta")
        for key, each in shapes.items()
    }


def _kind(tensor: Tensor) -> str:
    """Shape, and dtype where it is none of the floats."""
    shape = str(list(tensor.shape))
    return shape if tensor.is_floating_point() else f"{shape} {str(tensor.dtype)[6:]}"
