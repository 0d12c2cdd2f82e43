"""A safetensors file written tensor by tensor: its header first, from shapes alone.

Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, the header
as JSON padded with spaces, then the tensors without holes).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

_KINDS = {
    torch.float64: ("F64", 8),
    torch.float32: ("F32", 4),
    torch.float16: ("F16", 2),
    torch.bfloat16: ("BF16", 2),
    torch.int8: ("I8", 1),
    torch.uint8: ("U8", 1),
    torch.float8_e4m3fn: ("F8_E4M3", 1),
}


@dataclass(frozen=True)
class Entry:
    """A tensor to come: its safetensors dtype, its shape, its size in bytes."""

    kind: str
    shape: tuple[int, ...]
    nbytes: int

    @classmethod
    def of(cls, dtype: torch.dtype, shape: tuple[int, ...]) -> Entry:
        kind, width = _KINDS[dtype]
        return cls(kind, shape, width * prod(shape))


class SafetensorsWriter:
    """Writes the announced tensors in their order. Use as a context manager."""

    def __init__(self, path: Path, entries: Mapping[str, Entry]) -> None:
        self._path = path
        self._expected = list(entries.items())
        self._next = 0
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        at = 0
        for name, entry in entries.items():
            header[name] = {
                "dtype": entry.kind,
                "shape": list(entry.shape),
                "data_offsets": [at, at + entry.nbytes],
            }
            at += entry.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._file = path.open("wb")
        self._file.write(len(text).to_bytes(8, "little") + text)

    def write(self, name: str, tensor: Tensor) -> None:
        """The next tensor; it must be the one that was announced in this place."""
        expected, entry = self._expected[self._next]
        content = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        if name != expected or content.numel() != entry.nbytes:
            raise ValueError(f"{name} comes where {expected} was announced")
        self._file.write(content.numpy().data)
        self._next += 1

    def __enter__(self) -> SafetensorsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None and self._next != len(self._expected):
            raise ValueError(f"{self._expected[self._next][0]} was announced and not written")
