"""Weights restored in oneDNN's own layout: the same products, to the last bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from slm_explorer.compression import matrices
from slm_explorer.compression.blocked import Room, Rooms, rooms
from slm_explorer.compression.matrices import Int4Matrix, pair_codes

MANY = 90
"""Input rows for which weights are restored."""


def int4(rows: int, columns: int, group: int = 32) -> Int4Matrix:
    draw = torch.Generator().manual_seed(rows + columns)
    codes = torch.randint(0, 16, (rows, columns), generator=draw, dtype=torch.uint8)
    scales = torch.rand(rows, columns // group, generator=draw) * 0.02
    zeros = torch.randn(rows, columns // group, generator=draw) * 0.1
    return Int4Matrix(pair_codes(codes), scales, zeros, torch.bfloat16)


def inputs(columns: int) -> Tensor:
    return torch.randn(MANY, columns, generator=torch.Generator().manual_seed(columns)).bfloat16()


def by_blocks(matrix: Int4Matrix, rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The same product where the layout is not known."""
    with monkeypatch.context() as patch:
        patch.setattr(Rooms, "of", lambda *_: None)
        return matrix.product(rows)


@pytest.mark.parametrize("restored", [2**22, 2**14], ids=["whole", "in-pieces"])
@pytest.mark.parametrize(
    ("rows", "columns", "group"), [(64, 64, 32), (320, 96, 32), (448, 256, 128), (192, 64, 64)]
)
def test_products_are_the_same_to_the_bit(
    rows: int, columns: int, group: int, restored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "_RESTORED", restored)
    matrix = int4(rows, columns, group)
    found = matrix.product(inputs(columns))
    exact = inputs(columns).float() @ matrix.exact().t()
    assert float((found - exact).norm() / exact.norm()) < 8e-3
    assert torch.equal(found, by_blocks(matrix, inputs(columns), monkeypatch))


def test_what_was_made_in_inference_mode_serves_outside_it_too() -> None:
    matrix = int4(128, 160)
    with torch.inference_mode():
        first = matrix.product(inputs(160))
    with torch.no_grad():
        assert torch.equal(matrix.product(inputs(160)), first)


def test_threads_take_turns_in_a_room() -> None:
    several = [int4(256, 256 * group, group) for group in (32, 64, 128)]
    several += [int4(256, 8192, group) for group in (32, 64, 128)]
    alone = [each.product(inputs(each.columns)) for each in several]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            found = pool.map(lambda each: each.product(inputs(each.columns)), several)
            for one, other in zip(found, alone, strict=True):
                assert torch.equal(one, other)


def test_a_room_of_another_layout_is_not_used() -> None:
    with pytest.raises(ValueError, match="pads 100 x 64"):
        Room(100, 64)
    assert rooms.of(100, 64) is None


def test_rooms_used_last_are_kept() -> None:
    kept = Rooms(max_bytes=3 * 64 * 64 * 2)
    first = kept.of(64, 64)
    if first is None:
        pytest.skip("this processor has no bf16 instructions, or another layout")
    assert kept.of(64, 64) is first
    kept.of(128, 64)
    assert kept.of(64, 64) is first
    assert kept.nbytes == 3 * 64 * 64 * 2
    kept.of(64, 128)
    assert kept.nbytes == 3 * 64 * 64 * 2
    assert kept.of(64, 64) is first
