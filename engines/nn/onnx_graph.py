"""ONNX graphs written by hand, where the exporter's are not fast enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

IR_VERSION = 10
MICROSOFT = "com.microsoft"  # operators of ONNX Runtime's own


@dataclass(frozen=True)
class Value:
    """An input or output: a NumPy dtype's name, and a number or a name for each axis."""

    name: str
    dtype: str
    shape: Sequence[int | str]


class Graph:
    """Nodes in order. A value is known by its name; numbers stand for themselves.

    Args:
        outer: the graph that this is a branch of; its values and weights may be used.
    """

    FLOAT = 1  # the number of float32 in ONNX

    def __init__(self, outer: Graph | None = None) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._outer = outer
        self._root: Graph = outer._root if outer else self
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._weights: list[onnx.TensorProto] = []
        self._named = 0

    def node(self, operator: str, *inputs: str | int | Sequence[int], **attributes: Any) -> str:
        """Add one with a single output, and give its name. Numbers become int64 constants."""
        import onnx

        output = self._name(operator)
        names = [each if isinstance(each, str) else self.numbers(each) for each in inputs]
        self._nodes.append(onnx.helper.make_node(operator, names, [output], **attributes))
        return output

    def numbers(self, values: int | Sequence[int]) -> str:
        return self.constant(np.asarray(values, np.int64))

    def column(self, values: Sequence[int]) -> str:
        """int64 [values, 1]."""
        return self.constant(np.asarray(values, np.int64)[:, None])

    def constant(self, array: np.ndarray, *, here: bool = False) -> str:
        """The same array is held once.

        Args:
            here: in this branch, as what ONNX Runtime puts in another order has to be.
        """
        import onnx

        owner, array = self if here else self._root, np.asarray(array, order="C")
        key = array.dtype.str, array.shape, sha256(array.tobytes()).digest()
        if key not in owner._constants:
            owner._constants[key] = self._name("constant")
            owner._weights.append(onnx.numpy_helper.from_array(array, owner._constants[key]))
        return owner._constants[key]

    def either(
        self, condition: str, true: Callable[[Graph], str], false: Callable[[Graph], str]
    ) -> str:
        """What one of two branches makes.

        Args:
            condition: bool [].
            true, false: add to the graph they are given, and give the name of a float32 value.
        """
        branches = {}
        for name, branch in (("then_branch", true), ("else_branch", false)):
            inner = Graph(self)
            made = _declared(Value(branch(inner), "float32", ()), shaped=False)
            branches[name] = inner._proto(name, [], [made])
        return self.node("If", condition, **branches)

    def model(
        self,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[tuple[str, Value]],
        opset: int,
    ) -> onnx.ModelProto:
        """
        Args:
            outputs: what is given out as what.
        """
        import onnx

        for value, given in outputs:
            self._nodes.append(onnx.helper.make_node("Identity", [value], [given.name]))
        proto = self._proto(
            name, [_declared(each) for each in inputs], [_declared(each) for _, each in outputs]
        )
        sets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(MICROSOFT, 1)]
        return onnx.helper.make_model(proto, opset_imports=sets, ir_version=IR_VERSION)

    def _proto(self, name: str, inputs: list[Any], outputs: list[Any]) -> onnx.GraphProto:
        import onnx

        return onnx.helper.make_graph(self._nodes, name, inputs, outputs, self._weights)

    def _name(self, kind: str) -> str:
        self._root._named += 1
        return f"{kind}_{self._root._named}"


def _declared(value: Value, *, shaped: bool = True) -> onnx.ValueInfoProto:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return onnx.helper.make_tensor_value_info(value.name, kind, value.shape if shaped else None)
