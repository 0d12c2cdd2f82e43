"""A week of use at speed, and what is left of it: memory, files, threads, processes.

    python scripts/measure_week.py --chats 10000 --loads 500 --compressions 100 --kills 50 --seed 1

One app serves its page; visitors, each a new one, ask it over HTTP, while its models are unloaded
(the next visitor loads them again), models are made smaller and deleted, and processes below it get
SIGKILL at random moments. A JSON line now and then: memory that the app alone wrote to, resident
memory of the process that workers are forked from, open files, threads, files in the temporary
folder. The last line compares the end with the time after the first fifth; exits 1 where something
grew, was left, or where a chat failed that no kill can explain. Linux only (/proc).
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
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue
from statistics import median
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from slm_explorer.errors import SlmError  # noqa: E402
from slm_explorer.lab import runner  # noqa: E402
from slm_explorer.lab.types import Order  # noqa: E402
from slm_explorer.services import Services, build_services  # noqa: E402
from slm_explorer.settings import Settings  # noqa: E402
from slm_explorer.ui.server import launch  # noqa: E402

MODEL = "sprout-300k"
PROMPTS = ("What is 3 + 4?", "Tell me a story about a fox.", "Reverse: abc", "Hello!")
_PATIENCE_S = 900.0
# Gradio keeps the state of the newest 500 visitors; before that many have come, memory grows.
_SETTLED_EVENTS = 600
# What the end may be above the time after the first fifth and still count as flat.
_GROWTH = {"app_written": 16e6, "fork_rss": 16e6, "app_files": 8, "app_threads": 8, "temporary": 0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chats", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=500)
    parser.add_argument("--compressions", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--visitors", type=int, default=4, help="at once")
    parser.add_argument("--rows", type=int, default=50, help="JSON lines about the way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--app", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.app:
        return _be_the_app(Path(words.app))
    with tempfile.TemporaryDirectory(prefix="slm-week-") as folder:
        return _drive(words, Path(folder))


# The app: its page, and a line of JSON for every order that it gets.


def _be_the_app(home: Path) -> int:
    # The answers to the suites are seconds in which nothing is written.
    runner.SKILL_ITEMS = 0
    services = build_services(Settings(home=home, threads=1, port=_free_port()))
    page, address = launch(services)
    try:
        print(json.dumps({"address": address}), flush=True)
        for line in sys.stdin:
            print(json.dumps(_obey(services, line.strip())), flush=True)
    finally:
        page.close(verbose=False)
        services.close()
    return 0


def _obey(services: Services, order: str) -> dict[str, object]:
    if order == "load":
        for worker in services.manager.states():
            services.manager.unload(worker.key)
        return {"did": order}
    run = services.lab.submit(Order(MODEL, "int8"))
    while not (now := services.lab.run(run)).ended:
        time.sleep(0.05)
    with suppress(SlmError):  # a run that was killed may have nothing to delete
        services.lab.delete(run)
    return {"did": order, "state": now.state, "error": now.error}


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The week.


class Week:
    """Counts what happened; safe to use from every visitor's thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._shots: deque[float] = deque(maxlen=1000)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def shot(self) -> None:
        with self._lock:
            self._shots.append(time.monotonic())

    def chat(self, number: int) -> None:
        """One visitor's question; an error counts as wrong where nothing was killed meanwhile."""
        began = time.monotonic()
        words = {"model": MODEL, "prompt": PROMPTS[number % len(PROMPTS)], "max_tokens": 12}
        try:
            event = json.loads(self._ask("POST", "/gradio_api/call/v2/chat", words))["event_id"]
            text = self._ask("GET", f"/gradio_api/call/v2/chat/{event}")
        except (OSError, ValueError, KeyError) as error:
            text = f"event: error {error!r}"
        complete = "event: complete" in text
        with self._lock:
            disturbed = any(at >= began - 1 for at in self._shots)
            kind = "answered" if complete else "disturbed" if disturbed else "failed"
            self.counts[kind] += 1
            if kind == "failed":
                self.wrong.append(f"chat {number}: {text[-300:]}")

    def _ask(self, method: str, path: str, words: object = None) -> str:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)
        try:
            body = None if words is None else json.dumps(words)
            connection.request(method, path, body, {"content-type": "application/json"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def _drive(words: argparse.Namespace, folder: Path) -> int:
    draw = random.Random(words.seed)
    temporary = folder / "tmp"
    temporary.mkdir()
    app = subprocess.Popen(
        [sys.executable, __file__, "--app", str(folder / "home")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=(folder / "stderr.txt").open("w"),
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert app.stdin is not None
    assert app.stdout is not None
    address = json.loads(app.stdout.readline())["address"]
    week = Week(int(address.rstrip("/").rpartition(":")[2]))
    plan = ["chat"] * words.chats + ["kill"] * words.kills
    draw.shuffle(plan)
    orders = ["load"] * words.loads + ["compress"] * words.compressions
    draw.shuffle(orders)
    every = max(1, len(plan) // words.rows)
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    # As many orders as belong to the part of the week that is over. A compression takes its time:
    # visitors wait while more than these are due, or the week's end would be compressions alone.
    due: Queue[str | None] = Queue(maxsize=8)
    teller = threading.Thread(target=_tell, args=(due, app.stdin, app.stdout, week), daemon=True)
    teller.start()
    given = 0
    with ThreadPoolExecutor(words.visitors) as visitors:
        pending: deque[Any] = deque()
        for number, event in enumerate(plan):
            while given < len(orders) * (number + 1) // len(plan):
                due.put(orders[given])
                given += 1
            if event == "kill":
                _kill_one(app.pid, draw, week)
            else:
                pending.append(visitors.submit(week.chat, number))
            while len(pending) >= 4 * words.visitors:
                pending.popleft().result()
            if (number + 1) % every == 0:
                rows.append(_look(app.pid, temporary, number + 1, time.monotonic() - began))
                print(json.dumps(rows[-1] | dict(week.counts)), flush=True)
    due.put(None)
    teller.join()
    rows.append(_look(app.pid, temporary, len(plan), time.monotonic() - began))
    family = list(_descendants(app.pid))
    app.stdin.close()
    code = app.wait(_PATIENCE_S)
    problems = [*week.wrong, *_grown(rows)]
    until = time.monotonic() + 60
    while (left := [pid for pid in family if _runs(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    problems += [f"process {pid} was left" for pid in left]
    problems += [f"{path.name} was left" for path in _stale(temporary)]
    if code != 0 or "Traceback" in (folder / "stderr.txt").read_text():
        problems.append(f"the app ended with {code}: {(folder / 'stderr.txt').read_text()[-500:]}")
    last = {"seconds": time.monotonic() - began, **week.counts, "problems": problems[:20]}
    print(json.dumps(last | {"wrong": len(problems)}), flush=True)
    return 1 if problems else 0


def _tell(due: Queue[str | None], told: TextIO, heard: TextIO, week: Week) -> None:
    while (order := due.get()) is not None:
        if order == "load":
            week.shot()  # a visitor whose model is unloaded under the answer is told so
        told.write(order + "\n")
        told.flush()
        answer = json.loads(heard.readline())
        week.counts[f"{order} {answer.get('state', 'done')}"] += 1
        if order == "load":
            week.shot()


def _kill_one(app: int, draw: random.Random, week: Week) -> None:
    """SIGKILL for a worker or a compression, not for what they are forked from."""
    victims = sorted(set(_descendants(app)) - set(_children(app)))
    if victims:
        week.shot()
        with suppress(ProcessLookupError):
            os.kill(draw.choice(victims), signal.SIGKILL)
        week.counts["killed"] += 1
        week.shot()


def _look(app: int, temporary: Path, events: int, seconds: float) -> dict[str, Any]:
    forks = [pid for pid in _children(app) if "forkserver" in _command(pid)]
    return {
        "events": events,
        "seconds": seconds,
        # Not its USS: pages of libraries are its own whenever nobody else happens to use them.
        "app_written": _memory(app, "Private_Dirty:"),
        # Nor this one's: what it shares with workers is its own again when they end.
        "fork_rss": _memory(forks[0], "Rss:") if forks else None,
        "app_files": len(list(Path(f"/proc/{app}/fd").iterdir())),
        "app_threads": len(list(Path(f"/proc/{app}/task").iterdir())),
        "processes": len(list(_descendants(app))),
        "temporary": len(_stale(temporary)),
    }


def _grown(rows: list[dict[str, Any]]) -> list[str]:
    """What is higher in the last fifth than in the second one, once the app is settled."""
    settled = [row for row in rows if row["events"] >= _SETTLED_EVENTS]
    if len(settled) < 5:
        return ["the week was too short to tell whether memory is flat"]
    rows, fifth = settled, len(settled) // 5
    problems = []
    for name, allowed in _GROWTH.items():
        before, after = (
            [row[name] for row in part if row[name] is not None]
            for part in (rows[fifth : 2 * fifth], rows[-fifth:])
        )
        if before and after and median(after) > median(before) + allowed:
            problems.append(f"{name} grew from {median(before)} to {median(after)}")
    return problems


def _stale(temporary: Path) -> list[Path]:
    """Files; torch keeps one cache folder of a fixed name, and sockets belong to the living."""
    return [
        path
        for path in temporary.rglob("*")
        if path.is_file() and "torchinductor" not in str(path.relative_to(temporary))
    ]


def _memory(pid: int, kind: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(kind))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def _descendants(pid: int) -> Iterator[int]:
    waiting = _children(pid)
    while waiting:
        found = waiting.pop()
        yield found
        waiting += _children(found)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


if __name__ == "__main__":
    sys.exit(main())
