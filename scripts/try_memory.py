"""Try to exceed a real memory limit: the app in a control group of its own, a hundred attempts.

Each attempt asks for more than there is, in one of several ways; then the app must still answer,
and the kernel must not have ended anything. Needs Linux, root and a writable memory controller
(control groups v1 or v2). Prints JSON Lines; the last one counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from slm_explorer.meters.limits import read_memory
from slm_explorer.runtime.budget import alarm
from slm_explorer.runtime.manager import MemoryView
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.types import Done, Failed, GenerateRequest, ModelSpec, Sampling

V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")
GB = 10**9

app = typer.Typer(add_completion=False, help="Try to exceed a real memory limit.")


class NoGroups(Exception):
    """This machine lets nobody make a control group; the words say why."""


@contextmanager
def group_of(limit: int) -> Iterator[Path]:
    """A control group with that memory limit, which must be empty again at the end."""
    v2 = (V2 / "cgroup.controllers").exists()
    folder = (V2 if v2 else V1) / f"slm-explorer-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        raise NoGroups(f"no control group can be made in {folder.parent}: {error}") from error
    try:
        yield folder
    finally:
        # The last helper processes end a moment after the app.
        deadline = time.monotonic() + 30
        while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        folder.rmdir()


def kernel_kills(folder: Path) -> int:
    """How often the kernel's out-of-memory killer has come to this group."""
    for name in ("memory.events", "memory.oom_control"):
        path = folder / name
        if path.exists():
            for line in path.read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    raise NoGroups("this kernel does not count its kills")


def run_inside(folder: Path, command: list[str]) -> int:
    """Run a command as a member of the group; its exit code."""

    def join() -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))

    # The group must be joined before anything is imported: memory is charged where it is taken.
    return subprocess.run(command, preexec_fn=join, check=False).returncode


@app.command()
def limit(
    gigabytes: Annotated[float, typer.Option(help="The limit of the group.")] = 3.0,
    tries: int = 100,
) -> None:
    """Run the attempts in a new group and say what the kernel has counted."""
    with group_of(int(gigabytes * GB)) as folder:
        again = [sys.executable, __file__, "inside"]
        size = str(int(gigabytes * GB))
        code = run_inside(folder, [*again, "--tries", str(tries), "--limit", size])
        kills = kernel_kills(folder)
    print(json.dumps({"exit_code": code, "kernel_kills": kills, "tries": tries}), flush=True)
    raise typer.Exit(1 if code or kills else 0)


@app.command(name="exec")
def execute(
    command: Annotated[list[str], typer.Argument(help="What to run, after --.")],
    gigabytes: Annotated[float, typer.Option(help="The limit of the group.")] = 3.0,
) -> None:
    """Run any command in a new group."""
    with group_of(int(gigabytes * GB)) as folder:
        raise typer.Exit(run_inside(folder, command))


@app.command()
def inside(tries: int = 100, limit: int = 3 * GB) -> None:
    """The attempts themselves, in whatever group this process is in."""
    with tempfile.TemporaryDirectory() as home:
        services = build_services(replace(Settings.from_env({}), home=Path(home)))
        try:
            services.sampler.start()
            attempts(services, tries, limit)
        finally:
            services.close()


def attempts(services: Services, tries: int, limit: int) -> None:
    found = read_memory()
    shown = services.sampler.latest().device("memory")
    assert shown is not None
    # The kernel rounds a limit down to whole pages.
    assert abs(found.limit - limit) < 1 << 16, (found, limit)
    assert shown.total_bytes == found.limit
    print(json.dumps({"limit": found.limit, "source": found.source}), flush=True)
    endings: Counter[str] = Counter()
    fullest = 0.0
    for number in range(tries):
        way, ending = WAYS[number % len(WAYS)](services, number)
        endings[f"{way}: {ending}"] += 1
        memory = read_memory()
        view = MemoryView(memory.limit, memory.used, memory.available, memory.source)
        fullest = max(fullest, alarm(view).fraction)
        # One that was ended gives its memory back within a moment; until then nothing fits.
        deadline, again = time.monotonic() + 30, "DoesNotFit"
        while again == "DoesNotFit" and time.monotonic() < deadline:
            time.sleep(0.05)
            again = ask(services, ModelSpec("echo", None, engine="echo"), "still here")
        assert again == "Done", again
        for state in services.manager.states():
            services.manager.unload(state.key)
        print(json.dumps({"try": number, "way": way, "ending": ending}), flush=True)
    print(json.dumps({"endings": endings, "fullest_after_a_try": round(fullest, 3)}), flush=True)


def ask(services: Services, spec: ModelSpec, words: str) -> str:
    """How the answer ended: Done, or the kind of its failure."""
    request = GenerateRequest("1", "ann", Sampling(max_tokens=64), raw=words)
    *_, last = services.manager.stream(spec, request, threading.Event())
    if isinstance(last, Failed):
        print(json.dumps({"failed": last.error}), file=sys.stderr, flush=True)
        return last.kind
    assert isinstance(last, Done)
    return "Done"


def echo(number: int, **script: object) -> ModelSpec:
    """A worker under a small card's name, so that a small size is predicted for it, wrongly."""
    return ModelSpec(
        "sprout-300k", None, engine="echo", threads=number + 1, shape_config=json.dumps(script)
    )


def at_once(services: Services, number: int) -> tuple[str, str]:
    """One answer takes far more than the limit in one piece."""
    return "at once", ask(services, echo(number), f"/allocate {(2 + number % 5) * 2 * GB} done")


def in_steps(services: Services, number: int) -> tuple[str, str]:
    """One answer takes more and more in pieces of 100 MB."""
    return "in steps", ask(services, echo(number), "/allocate 100000000 " * 45)


def together(services: Services, number: int) -> tuple[str, str]:
    """Three answers take together what each alone could have."""
    endings: list[str] = []

    def take(which: int) -> None:
        words = "/allocate 150000000 " * 12
        endings.append(ask(services, echo(1000 * number + which), words))

    threads = [threading.Thread(target=take, args=(which,)) for which in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "three together", " ".join(sorted(endings))


def while_loading(services: Services, number: int) -> tuple[str, str]:
    """A model takes on loading what nobody has predicted."""
    return "while loading", ask(services, echo(number, allocate=4 * GB), "hello")


def honest(services: Services, number: int) -> tuple[str, str]:
    """A model whose true size is known does not fit."""
    spec = services.shape_spec(services.catalog.get("smollm2-1-7b-instruct"), "native", "torch")
    return "a known size", ask(services, spec, f"hello {number}")


WAYS = (at_once, in_steps, together, while_loading, honest)

if __name__ == "__main__":
    app()
