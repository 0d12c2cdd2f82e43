"""The Lab's values: grids, estimates, bars, fronts and tokens say what they were given."""

from __future__ import annotations

from typing import Any

import pytest

from slm_explorer.compression.recipes import RECIPES, LayerReport
from slm_explorer.compression.training_plan import TrainingPoint
from slm_explorer.lab.types import Choice, Order, Run, TokenComparison, TokenPair
from slm_explorer.types import Alternative
from slm_explorer.ui.lab_build import Building, Parent, build_view
from slm_explorer.ui.lab_figures import ACROSS, UP, Point, bars, front, points_view
from slm_explorer.ui.lab_grid import STRONGEST, grid_view, heat
from slm_explorer.ui.lab_report import Push, change, report_view
from slm_explorer.ui.lab_run import points, run_view, runs_view
from slm_explorer.ui.lab_tokens import STRONGEST as MOST_NATS
from slm_explorer.ui.lab_tokens import tokens_view
from slm_explorer.ui.models import Choice as Model

SIZE, MEMORY, DECODE = ACROSS
BITS, KL = UP
REPORT: dict[str, Any] = {
    "before": {
        "bytes_on_disk": 1000, "memory_bytes": None, "decode_tps": 10.0, "decode_tps_min": 9.0,
        "decode_tps_max": 12.0, "bits_per_byte": 1.0, "interval": [0.9, 1.1],
    },
    "after": {
        "bytes_on_disk": 300, "memory_bytes": None, "decode_tps": 20.0, "decode_tps_min": 18.0,
        "decode_tps_max": 21.0, "bits_per_byte": 1.05, "interval": [0.95, 1.15],
    },
    "kl": 0.02,
    "kl_interval": [0.01, 0.03],
    "verdicts": [{"text": "Decoding 2.0x as fast.", "claim": "better", "about": "decode"}],
    "not_measured": ["Skills: there are none."],
    "skills": [{"suite": "copy", "n": 10, "before": {"accuracy": 0.9}, "after": None}],
}  # fmt: skip


def layer(name: str, error: float | None = 0.09, reason: str | None = None) -> LayerReport:
    return LayerReport(name, "kept" if error is None else "int4", 4.5, 64, error, reason)


def run(**changes: Any) -> Run:
    given: dict[str, Any] = {
        "id": "a-1", "order": Order("sprout-5m", "int4"), "state": "done", "created_at": 0.0,
        "name": "Sprout 5M", "kept": True, "report": REPORT,
    }  # fmt: skip
    return Run(**given | changes)


def labels(view: dict[str, Any]) -> list[str]:
    return [each["label"] for each in view["columns"]]


def test_a_grid_has_a_row_a_layer_and_known_modules_first() -> None:
    view: Any = grid_view(
        [
            layer("model.layers.10.mlp.down_proj.weight"),
            layer("model.layers.2.self_attn.q_proj.weight"),
            layer("model.layers.2.mlp.down_proj.weight", 0.12, "padded to 16"),
            layer("model.embed_tokens.weight", None),
        ]
    )
    assert labels(view) == ["q", "down"]
    assert [row["label"] for row in view["rows"]] == ["2", "10"]
    first, last = view["rows"]
    assert last["cells"][0] is None
    assert first["cells"][1]["text"] == "12.0"
    assert "padded to 16" in first["cells"][1]["said"]
    (apart,) = view["apart"]
    assert (apart["label"], apart["state"]) == ("embed_tokens", "kept")


def test_what_is_still_to_come_is_there_and_empty() -> None:
    names = [f"transformer.h.{i}.attn.c_attn.weight" for i in range(3)]
    view: Any = grid_view([layer(names[0])], names)
    assert [row["cells"][0]["state"] for row in view["rows"]] == ["done", "waiting", "waiting"]
    assert view["done"] == 1


def test_encoder_and_decoder_have_rows_of_their_own_and_modules_of_one_name_are_told_apart() -> (
    None
):
    view: Any = grid_view(
        [
            layer("decoder.block.0.layer.0.SelfAttention.o.weight"),
            layer("decoder.block.0.layer.1.EncDecAttention.o.weight"),
            layer("encoder.block.0.layer.0.SelfAttention.o.weight"),
        ]
    )
    assert [row["title"] for row in view["rows"]] == ["layer encoder 0", "layer decoder 0"]
    assert [row["label"] for row in view["rows"]] == ["enc 0", "dec 0"]
    assert sorted(labels(view)) == ["EncDecAttention.o", "SelfAttention.o"]


def test_experts_share_a_cell_that_shows_the_worst() -> None:
    names = [f"model.layers.0.mlp.experts.{i}.up_proj.weight" for i in range(3)]
    view: Any = grid_view(
        [layer(name, error) for name, error in zip(names, (0.1, 0.2, 0.05), strict=True)]
    )
    (cell,) = view["rows"][0]["cells"]
    assert cell["text"] == "20.0"
    assert "worst of 3" in cell["said"]


def test_heat_grows_with_the_error_and_ends_at_the_strongest() -> None:
    assert heat(None) is None
    assert heat(0) == 0
    assert 0 < (heat(0.005) or 0) < (heat(0.09) or 0) < 1
    assert heat(STRONGEST) == heat(5.0) == 1


def built(recipe: str, parent: Parent, estimate: Choice | None = None) -> Any:
    choices = [
        Choice(each.name, each.kind, each.summary, each.effect, each.paper, None, None, None)
        for each in RECIPES.values()
    ]
    return build_view(
        Building("m", recipe), {"m": Model("m", "M", "about")}, parent, choices, estimate,
        refused="",
    )  # fmt: skip


def test_steps_come_in_the_order_of_a_recipe_with_their_spans() -> None:
    view = built("int4", Parent({"model_type": "llama"}, layers=6, weights_bytes=10))
    steps = {each["name"]: each for each in view["steps"]}
    stored = [each["stores"] for each in view["steps"]]
    assert stored == sorted(stored)
    assert steps["drop-layers"]["knobs"][0]["high"] == 5
    assert steps["distil"]["default"] == "4"
    assert [knob["name"] for knob in steps["distil"]["knobs"]] == ["", "width", "minutes", "fresh"]
    assert steps["int8"]["knobs"] == []
    (group,) = steps["int4"]["knobs"]
    # The usual one goes without saying.
    assert [each["value"] for each in group["choices"]] == ["32", "", "128"]


def test_a_recipe_that_cannot_be_is_said_and_not_estimated() -> None:
    parent = Parent({"model_type": "llama"}, layers=6)
    wrong = built("int3", parent)
    assert "int3" in wrong["error"]
    assert wrong["expect"] == []
    quantized = built("int4", Parent({"quantization_config": {"bits": 4}}))
    assert "quantized" in quantized["error"]


def test_an_estimate_is_called_one_and_what_is_unknown_is_not_a_number() -> None:
    parent = Parent({"model_type": "llama"}, layers=6, weights_bytes=10_000_000)
    estimate = Choice("int4", "storage", "", "", None, None, 3_000_000, None, "No run yet.")
    (line, rests) = built("int4", parent, estimate)["expect"]
    assert "about 3 MB" in line
    assert "estimated" in line
    assert "time n/a" in line
    assert rests == "No run yet."


def test_a_training_step_asks_for_text() -> None:
    parent = Parent({"model_type": "llama"}, layers=6)
    assert built("drop-layers:2+heal:1+int4", parent)["trains"] is True
    assert built("drop-layers:2+int4", parent)["trains"] is False


def test_bars_share_a_scale_that_holds_the_spread_and_skip_what_nobody_has() -> None:
    found: Any = {each["label"]: each for each in bars(REPORT)}
    assert "Memory" not in found
    decode = found["Decode"]
    assert decode["most"] == 21.0
    assert [row["value"] for row in decode["rows"]] == [10.0, 20.0]
    assert (decode["rows"][0]["low"], decode["rows"][0]["high"]) == (9.0, 12.0)
    assert found["On disk"]["rows"][1]["low"] is None
    assert found["Bits per byte"]["rows"][0]["spread"] == "0.900 bits to 1.100 bits"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(100.0, 90.0, "-10.0%"), (100.0, 30.0, "× 0.30"), (10.0, 25.0, "× 2.50"), (None, 1.0, "n/a")],
)
def test_a_change_is_a_share_or_a_factor(before: float | None, after: float, said: str) -> None:
    assert change(before, after) == said


def test_the_front_has_those_that_no_other_beats() -> None:
    def at(size: float | None, bits: float | None) -> Point:
        return Point(
            "r", "n", "l", {"bytes_on_disk": size, "bits_per_byte": bits, "decode_tps": size}
        )

    placed = [at(1, 3), at(2, 2), at(3, 2.5), at(4, 1), at(1, 3), at(0, None)]
    assert front(placed, SIZE, BITS) == [0, 1, 3, 4]
    assert front(placed, DECODE, BITS) == [3]
    view: Any = points_view(placed)
    assert "bytes_on_disk bits_per_byte" in view[1]["front"]
    assert view[5]["bits_per_byte"] is None


def test_parents_stand_once_beside_their_children() -> None:
    found = points([run(), run(id="a-2", order=Order("sprout-5m", "int8"))])
    assert [point.run for point in found] == ["a-1", "a-2", None]
    assert found[2].figures["bytes_on_disk"] == 1000
    assert found[2].figures["kl"] == 0
    assert found[0].figures["kl"] == 0.02


def test_a_report_says_what_was_not_measured() -> None:
    view: Any = report_view(run(), code="x", files=True, push=Push())
    assert view["ids"] == ["sprout-5m", "lab/a-1"]
    assert view["verdicts"][0]["claim"] == "better"
    rows = {row["label"]: row for row in view["table"]}
    assert "Memory" not in rows
    assert rows["Decode"]["change"] == "× 2.00"
    assert rows["Mean KL from the parent"]["after"] == "0.0200 nats (0.0100 to 0.0300)"
    assert rows["copy, 10 asked"]["after"] == "n/a"
    assert "Skills: there are none." in view["notes"]
    assert {link["href"] for link in view["links"]} == {
        f"slm-lab/a-1/{name}" for name in ("model.zip", "report.html", "report.json")
    }


def test_a_model_that_is_gone_is_neither_offered_nor_opened() -> None:
    view: Any = report_view(run(kept=False), code="", files=True, push=Push())
    assert (view["pair"], view["links"], view["push"]) == (False, [], None)


def test_a_run_under_way_says_its_place_its_memory_and_what_may_be_done() -> None:
    waiting: Any = run_view(run(state="queued", report=None, ahead=2), may_control=True)
    assert waiting["stage"] == "Waiting: 2 runs go first."
    point = TrainingPoint(3, 1.0, 100, 2.5, "a sample")
    learning: Any = run_view(
        run(
            state="compressing", report=None, can_pause=True, training=(point,), fraction=0.5,
            stage="learning", memory_bytes=3_000_000, memory_limit_bytes=8_000_000,
        ),
        may_control=True,
    )  # fmt: skip
    assert learning["stage"] == "Learning: 50%"
    assert any("3 MB of memory, the limit is 8 MB" in each["text"] for each in learning["figures"])
    assert learning["may_pause"] is learning["may_cancel"] is True
    assert learning["training"]["sample"] == "a sample"
    watched: Any = run_view(run(state="compressing", report=None), may_control=False)
    assert watched["may_cancel"] is False


def test_a_long_curve_keeps_its_ends_and_is_thinned() -> None:
    steps = tuple(TrainingPoint(i, i, i, 1.0) for i in range(5001))
    view: Any = run_view(run(training=steps), may_control=False)
    shown = view["training"]["points"]
    assert len(shown) < 1000
    assert (shown[0][0], shown[-1][0]) == (0, 5000)


def test_only_ended_runs_are_deleted_and_only_by_whom_may() -> None:
    both = [run(), run(id="b", state="compressing", report=None)]
    view: Any = runs_view(both, None, may_delete=True)
    assert [each["deletable"] for each in view["runs"]] == [True, False]
    view = runs_view(both, None, may_delete=False)
    assert not any(each["deletable"] for each in view["runs"])


def test_tokens_carry_the_change_and_both_models_candidates() -> None:
    top = (Alternative(" cat", -0.1), Alternative("<b>", -3.0))
    found = TokenComparison((TokenPair(" cat", -1.0, -2.5, top, top),), "p", "c")
    view: Any = tokens_view("a-1", found=found)
    (token,) = view["tokens"]
    assert token["delta"] == -1.5
    assert token["much"] == pytest.approx(1.5 / MOST_NATS)
    assert token["child_top"][1]["text"] == "<b>"
    assert "-1.500 nats" in view["mean"]
    assert tokens_view(None)["id"] == ""


def test_a_skill_s_change_is_claimed_only_where_the_intervals_are_apart() -> None:
    sides = {
        "few": ({"accuracy": 0.5, "interval": [0.2, 0.8]}, {"accuracy": 0.9, "interval": [0.6, 1]}),
        "many": (
            {"accuracy": 0.5, "interval": [0.4, 0.6]},
            {"accuracy": 0.9, "interval": [0.8, 1]},
        ),
    }
    skills = [
        {"suite": suite, "n": 10, "before": before, "after": after}
        for suite, (before, after) in sides.items()
    ]
    view: Any = report_view(run(report=REPORT | {"skills": skills}), code="", files=True, push=None)
    rows = {row["label"]: row for row in view["table"]}
    assert rows["few, 10 asked"]["before"] == "50% (20% to 80%)"
    assert rows["few, 10 asked"]["change"] == "none that this can tell"
    assert rows["many, 10 asked"]["change"] == "+40 points"
