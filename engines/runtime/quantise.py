"""Weights of an ONNX model in 8 or 4 bits.

Matrix products get blocks of 32 weights with a scale each, which ONNX Runtime multiplies as they
are. Embeddings, of which a step reads a few rows, get 8 bits and one scale a row, whatever the
products have: they are where a model of few bits loses most, and cost no time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

BLOCK = 32
ACCURACY_LEVEL = 4  # what is multiplied with them is brought to 8 bits on the way
LEAST_TABLE = 1 << 15  # values of a table that is worth it
_FACTORS = ("alpha", "beta")  # of a Gemm
LARGE = 64 << 20  # bytes of a model whose weights stand in a file of their own, which is mapped


def quantise_weights(
    model: onnx.ModelProto, file: Path, bits: int, metadata: Mapping[str, str]
) -> None:
    """Write a model with its weights in fewer bits; those of a large one beside it, in `.data`.

    Args:
        model: is changed.
        bits: 4 or 8, of matrix products.
        metadata: of the file.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    _shorten_tables(model.graph)
    _plain_products(model.graph)
    quantizer = MatMulNBitsQuantizer(
        model, bits=bits, block_size=BLOCK, is_symmetric=True, accuracy_level=ACCURACY_LEVEL
    )
    quantizer.process()
    quantised = quantizer.model.model
    onnx.helper.set_model_props(quantised, dict(metadata))
    large = quantised.ByteSize() >= LARGE
    beside = f"{file.name}.data" if large else None
    onnx.save(quantised, file, save_as_external_data=large, location=beside)


def _plain_products(graph: onnx.GraphProto) -> None:
    """Products of a plain matrix with weights (Gemm) become MatMul, which alone gets fewer bits."""
    from onnx import helper, numpy_helper

    weights = {each.name: each for each in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        table = weights.get(node.input[1]) if node.op_type == "Gemm" else None
        if table is None or given.get("transA") or {given.get(k, 1.0) for k in _FACTORS} != {1.0}:
            graph.node.append(node)
            continue
        matrix, name, made = node.input[1], f"{node.name}_weights", node.output[0]
        if given.get("transB"):
            turned = np.ascontiguousarray(numpy_helper.to_array(table).T)
            graph.initializer.append(numpy_helper.from_array(turned, name))
            if sum(matrix in each.input for each in nodes) == 1:
                graph.initializer.remove(table)
            matrix = name
        bias = node.input[2:]
        product = f"{node.name}_product" if bias else made
        graph.node.append(helper.make_node("MatMul", [node.input[0], matrix], [product], node.name))
        if bias:
            graph.node.append(helper.make_node("Add", [product, bias[0]], [made]))


def _shorten_tables(graph: onnx.GraphProto) -> None:
    """Every large table that rows are looked up in becomes int8 and a scale for each row."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {each.name: each for each in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        table = weights.get(node.input[0]) if node.op_type == "Gather" else None
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        whole = table is not None and len(table.dims) == 2 and axis == 0
        if table is None or not whole or np.prod(table.dims) < LEAST_TABLE:
            graph.node.append(node)
            continue
        values = numpy_helper.to_array(table)
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
        short = np.rint(values / scales).astype(np.int8)
        names = [f"{node.name}_{part}" for part in ("table", "scales", "row", "float", "scale")]
        graph.initializer.remove(table)
        graph.initializer.extend(
            numpy_helper.from_array(array, name)
            for array, name in zip((short, scales.astype(np.float32)), names, strict=False)
        )
        made, ids = node.output[0], node.input[1]
        graph.node.extend(
            [
                helper.make_node("Gather", [names[0], ids], [names[2]]),
                helper.make_node("Cast", [names[2]], [names[3]], to=TensorProto.FLOAT),
                helper.make_node("Gather", [names[1], ids], [names[4]]),
                helper.make_node("Mul", [names[3], names[4]], [made]),
            ]
        )


def quantise_file(file: Path, bits: int) -> None:
    """The same of a file of whatever stage, in its place; what it says of itself stays."""
    import onnx

    model = onnx.load(file)
    metadata = {each.key: each.value for each in model.metadata_props}
    for part in file.parent.glob(f"{file.name}.data"):
        part.unlink()
    quantise_weights(model, file, bits, metadata)
