"""Measure what the meters cost, and whether the shares add up to the container's own figure.

Prints JSON Lines. CPU is counted in processor seconds, so a busy machine does not change it much;
run it on a quiet one all the same before writing a figure down.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import typer

sys.path.insert(0, str(Path(__file__).parent))
from measure.app_process import running_app

from slm_explorer.meters.collector import Collector
from slm_explorer.meters.shares import shares
from slm_explorer.services import Services, build_services
from slm_explorer.settings import Settings
from slm_explorer.types import GenerateRequest, Message, Sampling

app = typer.Typer(add_completion=False, help="Measure the meters.")
MODELS = ("sprout-300k", "sprout-1m", "sprout-5m")


def show(**row: object) -> None:
    print(json.dumps(row), flush=True)


def answer(services: Services, model: str, stop: threading.Event) -> None:
    spec = services.chat.spec(model)
    while not stop.is_set():
        request = GenerateRequest(
            "1",
            model,
            Sampling(max_tokens=256, ignore_eos=True),
            messages=(Message("user", "Tell me a story."),),
        )
        for _ in services.manager.stream(spec, request, stop):
            pass


def own_services(home: str) -> Services:
    return build_services(replace(Settings.from_env({}), home=Path(home)))


@app.command()
def cost(seconds: int = 30, load: bool = True) -> None:
    """CPU of the sampler's thread at one snapshot a second, as percent of one core."""
    with tempfile.TemporaryDirectory() as home:
        services = own_services(home)
        stop = threading.Event()
        threads = [
            threading.Thread(target=answer, args=(services, model, stop))
            for model in (MODELS if load else ())
        ]
        for thread in threads:
            thread.start()
        services.sampler.start()
        at = services.sampler.latest().at
        while load and sum(w.phase == "busy" for w in services.manager.states()) < len(MODELS):
            time.sleep(0.1)
        before, started = _thread_seconds("meters"), time.monotonic()
        count = 0
        while time.monotonic() - started < seconds:
            snapshot = services.sampler.wait_for_next(at, 5)
            if snapshot is not None:
                at, count = snapshot.at, count + 1
        used, passed = _thread_seconds("meters") - before, time.monotonic() - started
        stop.set()
        for thread in threads:
            thread.join()
        services.close()
        show(
            measure="sampler cost",
            under_load=load,
            seconds=round(passed, 1),
            snapshots=count,
            ms_per_snapshot=round(1000 * used / max(1, count), 2),
            percent_of_a_core_at_1_hz=round(100 * used / max(1, count), 2),
        )


@app.command()
def agreement(rounds: int = 20) -> None:
    """The processes' shares, the files in use and the kernel's part, each read apart, beside what
    the control group says is used. All processes in it must be of this app. Run it inside a
    control group of its own: see try_memory.py, whose `exec` runs a command in one.
    """
    with tempfile.TemporaryDirectory() as home:
        services = own_services(home)
        stop = threading.Event()
        threads = [
            threading.Thread(target=answer, args=(services, model, stop)) for model in MODELS
        ]
        for thread in threads:
            thread.start()
        while sum(w.phase == "busy" for w in services.manager.states()) < len(MODELS):
            time.sleep(0.1)
        collector = Collector()
        gaps: list[float] = []
        for _ in range(rounds):
            snapshot = collector.collect(time.time(), services.manager.states(), None)
            memory = snapshot.device("memory")
            assert memory is not None
            assert memory.used_bytes is not None
            parts = shares(snapshot)
            processes = sum(part.bytes for part in parts if part.kind != "others")
            kernel, files = memory.detail("kernel"), memory.detail("files in use")
            assert kernel is not None
            assert files is not None
            total = processes + (kernel.value or 0) + (files.value or 0)
            gaps.append((total - memory.used_bytes) / memory.used_bytes)
            show(
                measure="agreement",
                source=memory.source,
                used=memory.used_bytes,
                processes=processes,
                kernel=kernel.value,
                files=files.value,
                gap=round(gaps[-1], 4),
            )
            time.sleep(0.5)
        show(measure="agreement", median=round(median(gaps), 4), widest=_widest(gaps))
        stop.set()
        for thread in threads:
            thread.join()
        services.close()


def _widest(gaps: list[float]) -> float:
    return round(max(abs(gap) for gap in gaps), 4)


@app.command()
def watchers(browsers: int = 30, seconds: int = 30) -> None:
    """CPU of the web process while so many browsers have the Meters tab open, less its CPU
    without any: each asks as the page does, every two seconds.
    """
    with running_app() as served:
        config = _get(f"{served.url}config")
        meters = next(
            component["id"]
            for component in config["components"]
            if component["props"].get("elem_id") == "slm-meters"
        )
        timers = {each["id"] for each in config["components"] if each["type"] == "timer"}
        handler = next(
            each["id"]
            for each in config["dependencies"]
            if each["outputs"][:1] == [meters] and each["targets"][0][0] in timers
        )
        stop = threading.Event()
        answers: list[int] = []

        def watch(number: int) -> None:
            body = {"data": [], "fn_index": handler, "session_hash": f"watcher{number}"}
            while not stop.wait(2.0):
                answers.append(_post(f"{served.url}gradio_api/run/predict", body))

        process = psutil.Process(served.pid)
        alone = _share(process, seconds)
        threads = [threading.Thread(target=watch, args=(n,)) for n in range(browsers)]
        for thread in threads:
            thread.start()
        watched = _share(process, seconds)
        stop.set()
        for thread in threads:
            thread.join()
        show(
            measure="watchers",
            browsers=browsers,
            answers=len(answers),
            bytes_an_answer=round(median(answers)),
            percent_of_a_core_alone=round(alone, 1),
            percent_of_a_core_watched=round(watched, 1),
        )


def _share(process: psutil.Process, seconds: int) -> float:
    """Percent of one core that the process takes over so many seconds."""
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, passed = process.cpu_times(), time.monotonic() - started
    return 100 * (after.user + after.system - before.user - before.system) / passed


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def _post(url: str, body: object) -> int:
    """Bytes of the answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return len(answer.read())


def _thread_seconds(name: str) -> float:
    """CPU seconds so far of this process's thread of that name."""
    (found,) = [thread for thread in threading.enumerate() if thread.name == name]
    times = {each.id: each.user_time + each.system_time for each in psutil.Process().threads()}
    return float(times[found.native_id or 0])


if __name__ == "__main__":
    app()
