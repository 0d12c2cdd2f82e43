"""The header of a safetensors file, read and checked without reading any weights.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, the header
as JSON, then the tensors without holes). The file may come from anywhere, so every number in
it is checked against the file's real size before it is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from slm_explorer.errors import BadCheckpoint

# A header of 70 billion parameters takes about 100 kB. The format allows 100 MB, which would
# cost a gigabyte to parse in the process that serves every visitor.
MAX_HEADER_BYTES = 16 * 2**20
_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


@dataclass(frozen=True)
class TensorHeader:
    """One stored tensor: its torch dtype's name, its shape, its size in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def floating(self) -> bool:
        return "float" in self.dtype


def read_header(path: Path) -> tuple[TensorHeader, ...]:
    """The tensors of `path` in file order. Raises BadCheckpoint, naming the file."""
    if not path.is_file():
        raise BadCheckpoint(f"{path} is not a file.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > size - 8:
                raise BadCheckpoint(
                    f"{path} is truncated or no safetensors file: its header needs "
                    f"{8 + length:,} bytes, the file has {size:,}. Copy or download it again."
                )
            if length > MAX_HEADER_BYTES:
                raise BadCheckpoint(
                    f"{path} claims a header of {length:,} bytes; the limit here is "
                    f"{MAX_HEADER_BYTES:,}."
                )
            raw = file.read(length)
    except OSError as error:
        raise BadCheckpoint(f"{path} cannot be read ({error.strerror}).") from None
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise _corrupt(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _corrupt(path, "its header is not an object")
    return _checked(path, header, size - 8 - length)


def _checked(path: Path, header: dict[str, object], data_bytes: int) -> tuple[TensorHeader, ...]:
    """The tensors in file order, which must fill the data section without hole or overlap."""
    found: list[tuple[int, int, TensorHeader]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(entry, dict) or entry.get("dtype") not in _DTYPES:
            raise _corrupt(path, f"the entry of tensor {name[:80]!r} has no known dtype")
        shape, offsets = _integers(entry.get("shape")), _integers(entry.get("data_offsets"))
        if shape is None or len(shape) > 16 or offsets is None or len(offsets) != 2:
            raise _corrupt(path, f"the entry of tensor {name[:80]!r} has no valid shape or offsets")
        dtype, width = _DTYPES[entry["dtype"]]
        tensor = TensorHeader(name, dtype, shape, prod(shape) * width)
        if offsets[1] - offsets[0] != tensor.bytes:
            raise _corrupt(
                path,
                f"tensor {name[:80]!r} should take {tensor.bytes:,} bytes by its shape and takes "
                f"{offsets[1] - offsets[0]:,} by its offsets",
            )
        found.append((offsets[0], offsets[1], tensor))
    found.sort(key=lambda item: item[:2])
    end = 0
    for begin, stop, tensor in found:
        if begin != end:
            raise _corrupt(path, f"tensor {tensor.name[:80]!r} overlaps another or leaves a hole")
        end = stop
    if end != data_bytes:
        problem = "is truncated" if data_bytes < end else "has bytes that belong to no tensor"
        raise BadCheckpoint(
            f"{path} {problem}: its header describes {end:,} bytes of weights, the file has "
            f"{data_bytes:,}. Copy or download it again."
        )
    return tuple(tensor for _, _, tensor in found)


def _integers(value: object) -> tuple[int, ...] | None:
    """A list of plain integers from 0 to 2^48, or None."""
    if not isinstance(value, list):
        return None
    if any(type(item) is not int or not 0 <= item < 2**48 for item in value):
        return None
    return tuple(value)


def _corrupt(path: Path, what: str) -> BadCheckpoint:
    return BadCheckpoint(f"{path} is corrupt: {what}. Copy or download it again.")
