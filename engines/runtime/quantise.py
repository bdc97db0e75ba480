"""Weights of an ONNX model in 8 or 4 bits, in blocks of 32 with a scale each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

BLOCK = 32
ACCURACY_LEVEL = 4  # what is multiplied with them is brought to 8 bits on the way


def quantise_weights(
    model: onnx.ModelProto, file: Path, bits: int, metadata: Mapping[str, str]
) -> None:
    """Write a model with the weights of its matrix products in fewer bits.

    Args:
        model: is changed.
        bits: 4 or 8.
        metadata: of the file.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        model,
        bits=bits,
        block_size=BLOCK,
        is_symmetric=True,
        accuracy_level=ACCURACY_LEVEL,
    )
    quantizer.process()
    quantised = quantizer.model.model
    onnx.helper.set_model_props(quantised, dict(metadata))
    onnx.save(quantised, file)
