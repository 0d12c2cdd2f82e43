"""Weights that come into being one tensor at a time, so that loading has a true fraction and
never holds a second copy: read from safetensors, or drawn at random for a shape.

transformers takes such tensors in a state dict and asks for each with `tensor[...]`, from
several threads.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from slm_explorer.engines.base import ReportProgress
from slm_explorer.errors import BadCheckpoint

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_BITS = {
    **{"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16},
    **{"I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8},
}
# Random weights are copies of one random block: drawing each anew takes 10 s for 1.1 billion.
# A prime length keeps the rows of a matrix from being equal.
_BLOCK = 1_000_003
_SEED = 20_261_121


class _Meter:
    """Counts bytes from several threads and reports them as a fraction, by whole percents."""

    def __init__(self, total: int, progress: ReportProgress, stage: str) -> None:
        self._total = max(1, total)
        self._done = 0
        self._lock = threading.Lock()
        self._progress = progress
        self._stage = stage

    def add(self, size: int) -> None:
        with self._lock:
            before = self._done * 100 // self._total
            self._done += size
            if self._done * 100 // self._total > before:
                self._progress(min(1.0, self._done / self._total), self._stage)


class _RawFile:
    """A safetensors file's bytes: the library's slices read the whole tensor each time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        length = int.from_bytes(self._file.read(8), "little")
        self._header: dict[str, Any] = json.loads(self._file.read(length))
        self._start = 8 + length

    def tensor(self, name: str) -> _RawTensor:
        return _RawTensor(self, self._start + self._header[name]["data_offsets"][0])

    def read_into(self, target: Tensor, at: int) -> None:
        view = memoryview(target.view(torch.uint8).numpy().data).cast("B")
        with self._lock:
            self._file.seek(at)
            while len(view):
                count = self._file.readinto(view)
                if not count:
                    raise BadCheckpoint(
                        f"{Path(self._file.name).name} has become shorter while it was read: "
                        "download or copy it again."
                    )
                view = view[count:]

    def close(self) -> None:
        self._file.close()


class _RawTensor:
    def __init__(self, file: _RawFile, start: int) -> None:
        self._file, self._start = file, start

    def read_into(self, target: Tensor, offset: int) -> None:
        self._file.read_into(target, self._start + offset)


class StoredTensor:
    """One tensor of a safetensors file, read when it is indexed."""

    def __init__(self, file: Any, name: str, size: int, raw: _RawTensor, meter: _Meter) -> None:
        self._file, self._name, self._size, self._meter = file, name, size, meter
        self._bytes = raw
        part = file.get_slice(name)
        self.shape: tuple[int, ...] = tuple(part.get_shape())
        self.kind: str = part.get_dtype()
        self.nbytes = size
        self.dtype = _DTYPES.get(self.kind)
        """None where it does not hold floating-point numbers of an ordinary width."""

    def rows(self, start: int, end: int) -> Tensor:
        """A part along the first dimension; the rest is not read. For ordinary floats only."""
        assert self.dtype is not None
        part = torch.empty((end - start, *self.shape[1:]), dtype=self.dtype)
        size = part.nbytes // max(1, end - start)
        self._bytes.read_into(part, start * size)
        self._meter.add(part.nbytes)
        return part

    def __getitem__(self, _everything: object) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self._name)
        self._meter.add(self._size)
        return tensor


class StoredWeights:
    """The tensors of a checkpoint's safetensors files. Use as a context manager.

    The files are read, not mapped: the bytes are this process's own, measured as such, and a
    file that shrinks later cannot kill it. BadCheckpoint if a file is truncated or corrupt.
    """

    def __init__(self, files: Iterable[Path], progress: ReportProgress) -> None:
        self._files = tuple(files)
        self._progress = progress
        self._open = ExitStack()
        self.tensors: dict[str, StoredTensor] = {}
        self.dtype = torch.float32

    def __enter__(self) -> StoredWeights:
        found: list[tuple[Any, str, int, _RawTensor]] = []
        bytes_of: Counter[str] = Counter()
        for path in self._files:
            try:
                file = self._open.enter_context(safe_open(path, framework="pt", backend="pread"))
                raw = self._open.enter_context(closing(_RawFile(path)))
            except (SafetensorError, OSError) as error:
                self._open.close()
                raise BadCheckpoint(
                    f"{path.name} cannot be read, it is truncated or corrupt ({error}): "
                    "download or copy it again."
                ) from error
            for name in file.keys():  # noqa: SIM118 - a safetensors file is no dict
                part = file.get_slice(name)
                kind = part.get_dtype()
                size = _BITS.get(kind, 8) // 8
                for length in part.get_shape():
                    size *= length
                bytes_of[kind] += size
                found.append((file, name, size, raw.tensor(name)))
        floating = [kind for kind, _ in bytes_of.most_common() if kind in _DTYPES]
        if floating:
            self.dtype = _DTYPES[floating[0]]
        meter = _Meter(sum(bytes_of.values()), self._progress, "reading weights")
        self.tensors = {
            name: StoredTensor(file, name, size, raw_tensor, meter)
            for file, name, size, raw_tensor in found
        }
        return self

    def __exit__(self, *_: object) -> None:
        self.tensors = {}
        self._open.close()


class RandomTensor:
    """A tensor of a given shape, made when it is indexed."""

    def __init__(self, name: str, like: Tensor, block: Tensor, meter: _Meter) -> None:
        self._name, self._like, self._block, self._meter = name, like, block, meter
        self.shape: tuple[int, ...] = tuple(like.shape)
        self.dtype = like.dtype

    def rows(self, start: int, end: int) -> Tensor:
        """A part along the first dimension."""
        return self._made((end - start, *self.shape[1:]))

    def __getitem__(self, _everything: object) -> Tensor:
        return self._made(self.shape)

    def _made(self, shape: tuple[int, ...]) -> Tensor:
        tensor = torch.empty(shape, dtype=self.dtype)
        if tensor.dim() < 2:
            # Gains at 1 and biases at 0: activations keep the size that they have in real life.
            tensor.fill_(0.0 if self._name.endswith("bias") else 1.0)
        else:
            flat = tensor.view(-1)
            for at in range(0, flat.numel(), _BLOCK):
                part = flat[at : at + _BLOCK]
                part.copy_(self._block[: part.numel()])
        self._meter.add(tensor.nbytes)
        return tensor


def random_weights(
    shapes: dict[str, Tensor], dtype: torch.dtype, progress: ReportProgress
) -> dict[str, RandomTensor]:
    """Random tensors (standard deviation 0.02) for a state dict of meta tensors."""
    generator = torch.Generator().manual_seed(_SEED)
    block = torch.empty(_BLOCK, dtype=dtype).normal_(0.0, 0.02, generator=generator)
    total = sum(tensor.nbytes for tensor in shapes.values())
    meter = _Meter(total, progress, "making random weights")
    return {name: RandomTensor(name, tensor, block, meter) for name, tensor in shapes.items()}
