"""A writer of safetensors files, for the makers of goldens: the format is a length, a JSON header and the arrays."""

import json
from pathlib import Path

import numpy as np

NAMES = {"float32": "F32", "uint8": "U8", "uint32": "U32"}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    # The widest numbers first, so that all are aligned.
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        assert np.isfinite(array).all(), name
        # `tobytes` goes by rows; the machine is taken for little-endian, as the format is.
        piece = array.tobytes()
        header[name] = {"dtype": NAMES[array.dtype.name], "shape": array.shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    print(f"{path}: {len(arrays)} arrays, {8 + len(text) + len(data)} bytes")
