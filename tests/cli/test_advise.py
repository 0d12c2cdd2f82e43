from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def advise(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slm_explorer", "advise", "--home", str(home), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_json_is_one_line_with_choices_reasons_and_what_was_ruled_out(tmp_path: Path) -> None:
    done = advise(tmp_path, "--device", "phone-6gb", "--language", "de", "--commercial", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    row = json.loads(line)
    assert [*row] == ["choices", "others", "ruled_out", "notes"]
    assert len(row["choices"]) == 3
    for choice in row["choices"]:
        assert choice["fit"] in ("fits", "tight")
        assert {"text", "kind"} == {*choice["reasons"][0]}
    rules = {each["rule"]: each["models"] for each in row["ruled_out"]}
    assert "qwen2-5-3b-instruct" in rules["licence"]


def test_this_machine_is_judged_by_its_budget(tmp_path: Path) -> None:
    done = advise(tmp_path, "--memory-budget", "600MB")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1. ")
    assert "of what this machine can give" in done.stdout
    assert "Ruled out" in done.stdout


def test_a_wrong_word_is_one_sentence(tmp_path: Path) -> None:
    done = advise(tmp_path, "--deployment", "moon")
    assert done.returncode != 0
    assert done.stderr.strip() == (
        "error: There is no deployment 'moon': choose private, server, edge, browser."
    )
