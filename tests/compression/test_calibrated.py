"""Errors made up for by the weights that are still to be rounded, on a text of the model's own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

from slm_explorer.compression import moments, streaming
from slm_explorer.compression.divergence import compare
from slm_explorer.compression.moments import InputMoments
from slm_explorer.compression.quantizers import Int4Groups, error_factor, quantize_int4
from slm_explorer.compression.streaming import compress_checkpoint
from tests.compression.models import OTHERS, save_other
from tests.conftest import ROOT
from tests.engines.models import ARCHITECTURES, TEXT, save_model

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"


def restored(made: Int4Groups) -> Tensor:
    group = made.codes.shape[1] // made.scales.shape[1]
    scales = made.scales.float().repeat_interleave(group, 1)
    return (made.codes.float() - 8) * scales + made.zeros.float().repeat_interleave(group, 1)


def test_inputs_that_have_nothing_in_common_change_no_code() -> None:
    weight = torch.randn(24, 128, generator=torch.Generator().manual_seed(0))
    plain = quantize_int4(weight, 64, torch.bfloat16, refined=True)
    factor = error_factor(torch.eye(128))
    passed = quantize_int4(weight, 64, torch.bfloat16, refined=True, factor=factor)
    assert torch.equal(passed.codes, plain.codes)
    assert torch.equal(passed.scales, plain.scales)
    assert passed.squared_error == pytest.approx(plain.squared_error)


@pytest.mark.parametrize("refined", [False, True])
def test_outputs_stay_closer_where_inputs_go_together(refined: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    weight = torch.randn(40, 192, generator=draw)
    inputs = torch.randn(900, 24, generator=draw) @ torch.randn(24, 192, generator=draw)
    inputs += 0.3 * torch.randn(900, 192, generator=draw)
    factor = error_factor(inputs.t() @ inputs / len(inputs))
    assert factor is not None

    def off(made: Int4Groups) -> float:
        return float(((restored(made) - weight) @ inputs.t()).square().mean())

    plain = quantize_int4(weight, 64, torch.bfloat16, refined=refined)
    passed = quantize_int4(weight, 64, torch.bfloat16, refined=refined, factor=factor)
    assert off(passed) < 0.4 * off(plain)


def test_moments_without_an_inverse_are_damped_or_left_out() -> None:
    assert error_factor(torch.zeros(32, 32)) is not None, "an input that is always nothing"
    assert error_factor(torch.full((32, 32), float("nan"))) is None


def test_a_moment_is_the_mean_product_of_what_went_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> tuple[Tensor | None, Tensor | None]:
        paths = {name: f"model.layers.{name}" for name in ("0.mlp.up_proj", "1.mlp.down_proj")}
        found = InputMoments(SPROUT, paths, TEXT * 8, "", lambda _fraction: None, lambda: False)
        return found.of("0.mlp.up_proj"), found.of("1.mlp.down_proj")

    up, down = measured()
    assert up is not None
    assert down is not None
    assert torch.equal(up, up.t())
    assert float(torch.linalg.eigvalsh(up)[0]) > -1e-4
    # With room for one at a time the text is read again for the next, to the same end.
    monkeypatch.setattr(moments, "_HELD_BYTES", 1)
    for whole, apart in zip((up, down), measured(), strict=True):
        assert apart is not None
        assert torch.equal(whole, apart)


def test_a_text_that_it_wrote_brings_more_than_scales_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "assets" / "evaluation" / "sprout-text.txt").read_text()[:8_000]
    strayed = []
    for most, read in ((2e9, "text that it wrote itself, "), (3e5, "nothing: over 300,000 ")):
        monkeypatch.setattr(streaming, "READ_PARAMETERS", int(most))
        done: list[float] = []
        child = tmp_path / str(most)
        result = compress_checkpoint(
            SPROUT,
            child,
            "int4-refined",
            lambda fraction, _layer, done=done: done.append(fraction),  # type: ignore[misc]
            lambda: False,
        )
        assert str(result.steps[0].detail["read"]).startswith(read)
        assert done == sorted(done)
        assert done[-1] == 1.0
        found = compare(
            SPROUT, child, text, window=256, threads=1,
            report=lambda _fraction: None, stop=threading.Event(),
        )  # fmt: skip
        strayed.append(found.kl)
    assert strayed[0] < 0.6 * strayed[1]


# MPT keeps no cache while it writes a text here, which takes half a minute.
@pytest.mark.parametrize("kind", [*(each for each in ARCHITECTURES if each != "mpt"), *OTHERS])
def test_every_kind_reads_what_it_can(kind: str, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    save_other(parent, kind) if kind in OTHERS else save_model(parent, kind)
    result = compress_checkpoint(
        parent, tmp_path / "child", "int4-refined", lambda _fraction, _layer: None,
        lambda: False, sample=TEXT * 4,
    )  # fmt: skip
    assert any(layer.method == "int4" for layer in result.layers)
    whose = "a shipped sample" if kind in OTHERS else "text that it wrote itself"
    assert str(result.steps[0].detail["read"]).startswith(whose)


def test_the_text_that_is_given_is_read(tmp_path: Path) -> None:
    result = compress_checkpoint(
        SPROUT, tmp_path / "child", "int4-refined", lambda _fraction, _layer: None,
        lambda: False, text=TEXT * 4, sample="",
    )  # fmt: skip
    assert "given" in str(result.steps[0].detail["read"])
