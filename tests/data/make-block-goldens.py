#!/usr/bin/env python3
"""Writes tests/data/blocks.safetensors: random blocks of every type that engines read, and the numbers in them.

The numbers are those of `gguf`'s own dequantiser, which is held against llama.cpp's there.

    pip install numpy==2.4.6 gguf==0.19.0
    python3 tests/data/make-block-goldens.py

For each type, such as Q4_K: `Q4_K.blocks` (U8, one block a row) and `Q4_K.values` (F32, its numbers a row).
"""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

from safetensors_file import write

# The offsets of the half-floats in a block.
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
# Zeros, the smallest numbers of all, the smallest normal one, the largest.
EXTREME = np.array([0.0, -0.0, 2.0**-24, -(2.0**-24), 2.0**-14, 65504, -65504, 1], np.float16)

dice = np.random.default_rng(20240229)


def halves(count: int) -> np.ndarray:
    """Scales as models have them, of both signs."""
    return (dice.choice([-1, 1], count) * dice.uniform(1e-4, 1e-2, count)).astype(np.float16)


def floats(kind: str) -> np.ndarray:
    """64 numbers over all magnitudes, as rows of one: a block of a float type is one number."""
    plain = (dice.standard_normal(56) * 10 ** dice.uniform(-6, 3, 56)).astype(np.float32)
    plain = np.append(plain, EXTREME.astype(np.float32))
    if kind == "F16":
        plain = plain.astype(np.float16)
    bits = plain.view(np.uint8).reshape(64, -1)
    return bits[:, 2:].copy() if kind == "BF16" else bits


def packed(kind: str, size: int) -> np.ndarray:
    """Six blocks; the last three have extreme scales, or none."""
    blocks = dice.integers(0, 256, (6, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scales = np.append(halves(3), dice.choice(EXTREME, 3, replace=False))
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(6, 2)
    return blocks


def values(kind: str, blocks: np.ndarray) -> np.ndarray:
    """`gguf` views a float type by its own dtype, a packed one by bytes."""
    native = {"F32": np.float32, "F16": np.float16}.get(kind, np.uint8)
    return quants.dequantize(blocks.view(native), GGMLQuantizationType[kind]).astype(np.float32)


goldens = {}
for kind in ["F32", "F16", "BF16", *SCALES]:
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    blocks = packed(kind, size) if kind in SCALES else floats(kind)
    goldens[f"{kind}.blocks"] = blocks
    goldens[f"{kind}.values"] = values(kind, blocks)
write(Path(__file__).with_name("blocks.safetensors"), goldens)
