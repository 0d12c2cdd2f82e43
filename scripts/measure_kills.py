"""Kill runs of the lab at random moments, and look at what is left.

    python scripts/measure_kills.py --kills 100 --seed 1

Each time an app of its own makes a Sprout smaller; at a random moment it, or one of its
processes, gets SIGKILL. Then no process of it may be left, and after the next start of an app
on the same home folder no temporary file may be left either, and every model that is offered must
be whole. A JSON line each, and one with the sum; exits 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from slm_explorer.catalog.checkpoint import inspect_checkpoint  # noqa: E402
from slm_explorer.compression.workspace import remove_leftovers  # noqa: E402
from slm_explorer.errors import SlmError  # noqa: E402
from slm_explorer.lab import runner  # noqa: E402
from slm_explorer.lab.types import Order, Run  # noqa: E402
from slm_explorer.services import build_services  # noqa: E402
from slm_explorer.settings import Settings  # noqa: E402

_PATIENCE_S = 900.0
# A run that has lost its app deletes what it has written; a worker exits when its pipe ends.
_GONE_S = 60.0
# The share of a run that compressing takes, for drawing a moment; the proof takes the rest.
_COMPRESSING = 0.3


@dataclass(frozen=True)
class Moment:
    """When to kill, and whom: `progress` of the run (0 to 1), `delay_s` later."""

    progress: float
    delay_s: float
    app: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="sprout-300k")
    parser.add_argument("--recipe", default="int8")
    parser.add_argument("--app", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.app:
        return _be_the_app(Path(words.app), Order(words.model, words.recipe))
    draw = random.Random(words.seed)
    wrong = kept = 0
    with tempfile.TemporaryDirectory(prefix="slm-kills") as folder:
        home = Path(folder)
        for number in range(words.kills):
            # Half of all moments are while a process starts, when nothing progresses.
            waits = draw.random() < 0.5
            moment = Moment(
                progress=draw.choice((0.0, _COMPRESSING)) if waits else draw.random(),
                delay_s=draw.uniform(0, 4) if waits else draw.uniform(0, 0.05),
                app=draw.random() < 0.6,
            )
            whom, state, problems = _kill_one(home, words.model, words.recipe, moment, draw)
            kept, more = _examine(home)
            problems += more
            wrong += bool(problems)
            row = {"kill": number, "killed": whom, "state": state, "models": kept}
            print(json.dumps(row | {"problems": problems}), flush=True)
    print(json.dumps({"kills": words.kills, "wrong": wrong, "models_kept": kept}), flush=True)
    return 1 if wrong else 0


def _be_the_app(home: Path, order: Order) -> int:
    """One run in an app of its own, told as it goes on."""
    # The answers to the suites are seconds in which nothing is written.
    runner.SKILL_ITEMS = 0
    services = build_services(Settings(home=home, threads=1))
    lab = services.lab
    run = lab.submit(order)
    told: tuple[object, ...] = ()
    while not lab.run(run).ended:
        now = lab.run(run)
        seen = (now.state, _progress(now))
        if seen != told:
            print(json.dumps(seen), flush=True)
            told = seen
        time.sleep(0.01)
    print(json.dumps([lab.run(run).state, 1.0]), flush=True)
    services.close()
    return 0


def _progress(run: Run) -> float:
    if run.state == "proving":
        return _COMPRESSING + (1 - _COMPRESSING) * run.fraction
    return _COMPRESSING * run.fraction if run.state == "compressing" else 0.0


def _kill_one(
    home: Path, model: str, recipe: str, moment: Moment, draw: random.Random
) -> tuple[str, str, list[str]]:
    """Start an app with a run, kill at the moment, and wait until all of its processes ended.
    Who was killed, the state of the run then, and what was wrong.
    """
    command = [sys.executable, __file__, "--app", str(home), "--model", model, "--recipe", recipe]
    app = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert app.stdout is not None
    state, family = "starting", {app.pid}
    for line in app.stdout:
        state, progress = json.loads(line)
        if progress >= moment.progress:
            break
    time.sleep(moment.delay_s)
    family |= set(_descendants(app.pid))
    others = sorted(family - {app.pid})
    victim = app.pid if moment.app or not others else draw.choice(others)
    problems: list[str] = []
    with suppress(ProcessLookupError):  # it may just have ended by itself
        os.kill(victim, signal.SIGKILL)
    if victim != app.pid:
        for line in app.stdout:
            family |= set(_descendants(app.pid))
            state = json.loads(line)[0]
        if app.wait(_PATIENCE_S) != 0:
            problems.append("the app did not survive the end of one of its processes")
    app.stdout.close()
    app.wait(_PATIENCE_S)
    end = time.monotonic() + _GONE_S
    while (left := [pid for pid in family if _runs(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    if left:
        problems.append(f"{len(left)} processes were left")
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    return "app" if victim == app.pid else "child", state, problems


def _examine(home: Path) -> tuple[int, list[str]]:
    """Start on the same home, as a user would, and look at every model that is offered: how many
    there are, and what is wrong.
    """
    problems: list[str] = []
    services = build_services(Settings(home=home, threads=1))
    try:
        runs = services.lab.runs()
        kept = [run for run in runs if run.kept]
        for run in kept:
            try:
                inspect_checkpoint(services.chat.resolve(f"lab/{run.id}").path)
            except SlmError as error:
                problems.append(f"{run.id} is offered and broken: {error}")
            if run.report is None:
                problems.append(f"{run.id} is offered without a report")
        problems += [f"{run.id} is shown as {run.state}" for run in runs if not run.ended]
        lab = home / "lab"
        expected = {".lock", *(run.id for run in kept)}
        extra = sorted(entry.name for entry in lab.iterdir() if entry.name not in expected)
        problems += [f"{name} was left behind" for name in extra]
        problems += [f"{path} was left behind" for path in remove_leftovers(lab)]
    finally:
        services.close()
    return len(kept), problems


def _descendants(pid: int) -> Iterator[int]:
    """All processes below `pid`, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            parent = _parent(int(entry.name))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry.name))
    waiting = list(children.get(pid, ()))
    while waiting:
        found = waiting.pop()
        yield found
        waiting += children.get(found, ())


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


if __name__ == "__main__":
    sys.exit(main())
