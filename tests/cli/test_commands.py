"""The command line's contract: JSON keys, exit codes, one line of error, clean stdout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli

CHAT_KEYS = {
    "model",
    "recipe",
    "engine",
    "text",
    "finish_reason",
    "prompt_tokens",
    "output_tokens",
    "load_s",
    "ttft_s",
    "prefill_tps",
    "decode_tps",
    "peak_memory_bytes",
    "seed",
}
BENCH_KEYS = {
    "model",
    "recipe",
    "engine",
    "threads",
    "load_s",
    "ttft_s",
    "prefill_tps",
    "decode_tps",
    "decode_tps_min",
    "decode_tps_max",
    "weights_bytes",
    "memory_bytes",
    "peak_memory_bytes",
}
MODEL_KEYS = {
    "id",
    "name",
    "hub_id",
    "architecture_kind",
    "model_type",
    "parameters",
    "license",
    "context_length",
    "attention",
    "shipped",
    "fit",
}
EVALUATE_KEYS = {
    "model",
    "recipe",
    "suite",
    "text",
    "tokens",
    "bits_per_byte",
    "perplexity",
    "accuracy",
    "n",
    "interval",
}
DEVICE_KEYS = {
    "kind",
    "name",
    "used_bytes",
    "total_bytes",
    "utilization",
    "power_w",
    "energy_method",
}


def test_models_lists_the_catalog_with_the_sprouts_first(cli: Cli) -> None:
    ran = cli("models", "--json")
    assert ran.code == 0, ran.err
    rows = ran.rows
    assert all(set(row) >= MODEL_KEYS for row in rows)
    assert sum(not row["shipped"] for row in rows) == 62
    assert {row["id"] for row in rows[:4]} >= {"sprout-5m", "sprout-1m", "sprout-300k"}


def test_chat_answers_from_two_models_in_order(cli_process: Cli) -> None:
    ran = cli_process(
        "chat", "sprout-300k", "sprout-5m", "--prompt", "Hello!", "--max-tokens", "8", "--json"
    )
    assert ran.code == 0, ran.err
    first, second = ran.rows
    assert (first["model"], second["model"]) == ("sprout-300k", "sprout-5m")
    for row in (first, second):
        assert set(row) >= CHAT_KEYS
        assert isinstance(row["output_tokens"], int)
        assert 1 <= row["output_tokens"] <= 8
        assert row["finish_reason"] in ("stop", "length")
        assert isinstance(row["peak_memory_bytes"], int)


def test_chat_is_greedy_and_seeded(cli: Cli) -> None:
    words = ("chat", "sprout-1m", "sprout-1m", "--prompt", "Tell me a story.", "--json")
    greedy = [row["text"] for row in cli(*words, "--max-tokens", "12").rows]
    warm = [
        row["text"]
        for row in cli(*words, "--max-tokens", "12", "--temperature", "1", "--seed", "7").rows
    ]
    assert greedy[0] == greedy[1]
    assert warm[0] == warm[1]


def test_chat_completes_a_raw_prompt(cli: Cli) -> None:
    ran = cli("chat", "sprout-5m", "--prompt", "One day", "--raw", "--max-tokens", "4", "--json")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["prompt_tokens"] < 6  # type: ignore[operator]  # no template around it


def test_people_get_text_and_figures_with_units(cli: Cli) -> None:
    ran = cli("chat", "sprout-300k", "--prompt", "Hello!", "--max-tokens", "4")
    assert ran.code == 0, ran.err
    assert "[sprout-300k]" in ran.out
    assert "tok/s" in ran.out
    assert "peak_memory_bytes" in ran.out


def test_bench_measures_two_engines_in_one_run(cli: Cli) -> None:
    words = ("--prompt-tokens", "8", "--max-tokens", "8", "--repeats", "2", "--json")
    ran = cli("bench", "sprout-300k", "--engine", "torch", "--engine", "transformers", *words)
    assert ran.code == 0, ran.err
    assert [row["engine"] for row in ran.rows] == ["torch", "transformers"]
    for row in ran.rows:
        assert set(row) >= BENCH_KEYS
        low, middle, high = row["decode_tps_min"], row["decode_tps"], row["decode_tps_max"]
        assert isinstance(low, float)
        assert isinstance(middle, float)
        assert isinstance(high, float)
        assert 0 < low <= middle <= high


def test_bench_of_a_shape_uses_random_weights_of_the_real_size(cli: Cli) -> None:
    words = ("--prompt-tokens", "4", "--max-tokens", "2", "--repeats", "1", "--json")
    ran = cli("bench", "--shape", "smollm2-135m-instruct", *words)
    assert ran.code == 0, ran.err
    assert ran.rows[0]["parameters"] == 134_515_008
    assert ran.rows[0]["weights_bytes"] == 2 * 134_515_008


def test_evaluate_on_a_skill_and_on_a_text(cli: Cli, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("The fox found a red lantern in the old mill. " * 40, encoding="utf-8")
    ran = cli("evaluate", "sprout-300k", "--suite", "opposites", "--text", str(text), "--json")
    assert ran.code == 0, ran.err
    skill, measured = ran.rows
    assert set(skill) >= EVALUATE_KEYS
    assert skill["suite"] == "opposites"
    assert isinstance(skill["n"], int)
    assert skill["n"] >= 200
    assert isinstance(skill["interval"], list)
    assert isinstance(skill["accuracy"], float)
    assert skill["interval"][0] <= skill["accuracy"] <= skill["interval"][1]
    assert measured["text"] == "short.txt"
    assert isinstance(measured["bits_per_byte"], float)
    assert measured["bits_per_byte"] > 0


def test_meters_and_doctor_say_their_sources(cli: Cli) -> None:
    row = cli("meters", "--json").rows[0]
    assert isinstance(row["devices"], list)
    assert all(set(device) >= DEVICE_KEYS for device in row["devices"])
    assert {device["kind"] for device in row["devices"]} >= {"cpu", "memory"}
    report = cli("doctor", "--json").rows[0]
    assert set(report) >= {"versions", "devices", "limits", "missing"}
    assert isinstance(report["limits"], dict)
    assert report["limits"]["memory_source"]
    assert report["missing"] == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("chat", "no-such-model", "--prompt", "hi"), 1, "no-such-model"),
        (("chat", "sprout-5n", "--prompt", "hi"), 1, "sprout-5m"),
        (("chat", "phi-2", "--prompt", "hi"), 1, "Phi-2"),
        (("chat", "sprout-5m", "--prompt", "  "), 2, "empty"),
        (("chat", "sprout-5m", "--prompt", "hi", "--max-tokens", "0"), 2, "max tokens"),
        (("chat", "sprout-5m", "--prompt", "hi", "--max-tokens", "-3"), 2, "max tokens"),
        (("chat", "sprout-5m", "--prompt", "hi", "--temperature", "-1"), 2, "temperature"),
        (("chat", "sprout-5m", "--prompt", "hi", "--recipe", "int3"), 2, "int3"),
        (("chat", "sprout-5m", "--prompt", "hi", "--engine", "magic"), 2, "magic"),
        (("chat", "sprout-5m", "--prompt", "hi", "--memory-budget", "lots"), 2, "lots"),
        (("chat", "sprout-5m", "--prompt", "hi", "--memory-budget", "1MB"), 1, "MB"),
        (("chat", "/nowhere/at/all", "--prompt", "hi"), 1, "/nowhere/at/all"),
        (("bench",), 2, "--shape"),
        (("bench", "--shape", "nothing"), 1, "nothing"),
        (("evaluate", "sprout-5m", "--suite", "poetry"), 2, "poetry"),
        (("evaluate", "sprout-5m", "--text", "absent.txt"), 2, "absent.txt"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else str(value),
)
def test_errors_are_one_line_with_the_right_code(
    cli: Cli, words: tuple[str, ...], code: int, says: str
) -> None:
    ran = cli(*words, "--json")
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert len(errors) == 1
    assert says in errors[0]
    assert "Traceback" not in ran.err


def test_a_wrong_option_is_a_wrong_call(cli_process: Cli) -> None:
    assert cli_process("chat", "sprout-5m", "--nonsense").code == 2
    assert cli_process("frobnicate").code == 2


def test_debug_shows_the_traceback(cli_process: Cli) -> None:
    ran = cli_process("chat", "no-such-model", "--prompt", "hi", "--debug")
    assert ran.code == 1
    assert "Traceback" in ran.err


def test_a_home_that_cannot_be_written_stops_nothing(cli_process: Cli, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    words = ("--prompt", "Hello!", "--max-tokens", "2", "--json", "--home", str(blocked / "home"))
    ran = cli_process("chat", "sprout-300k", *words)
    assert ran.code == 0, ran.err
    assert ran.rows[0]["output_tokens"]
    assert "History cannot be kept" in ran.err


def test_a_checkpoint_folder_runs_by_its_path(cli: Cli, tmp_path: Path) -> None:
    from slm_explorer.assets import asset_folder

    folder = tmp_path / "mine"
    folder.symlink_to(asset_folder() / "sprouts" / "sprout-300k")
    ran = cli("chat", str(folder), "--prompt", "Hello!", "--max-tokens", "2", "--json")
    assert ran.code == 0, ran.err
    assert ran.rows[0]["output_tokens"]


def test_odd_characters_are_read_not_refused(cli_process: Cli) -> None:
    prompt = "\x01\x07 \N{GRINNING FACE} \u202e \ud800 é"
    ran = cli_process("chat", "sprout-300k", "--prompt", prompt.encode("utf-8", "replace").decode(),
              "--max-tokens", "4", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
