"""Measure a class: many visitors who chat at once, through the page's own events.

Prints JSON Lines: one for the class, and one for the same questions asked one at a time. Run it
on a quiet machine; BENCHMARKS.md keeps the figures.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parent))
from measure.class_screen import Asked, Screen
from measure.shape import place_shape

PROMPTS = (
    "What is 2 + 2?",
    "Tell me a story about a fox and a lantern.",
    "What is the opposite of big?",
    "Tell me a story about a boat.",
    "What comes after Monday?",
    "What colour is the sky?",
    "Tell me a story about a dog who lost a bone.",
)
START_S = 600.0


@dataclass
class Visitor:
    """What one visitor got. Seconds; `first` are the times to the first text, by the client.
    `different` counts answers unlike the one that the same prompt got alone (greedy, in an empty
    chat, so a mixed-up answer shows), `limited` refusals by the limit a minute.
    """

    first: list[float] = field(default_factory=list)
    tokens: int = 0
    answers: int = 0
    errors: list[str] = field(default_factory=list)
    different: int = 0
    limited: int = 0


def measure(
    model: Annotated[str, typer.Option(help="A card that can chat here.")] = "sprout-5m",
    visitors: Annotated[int, typer.Option(min=1)] = 30,
    minutes: Annotated[float, typer.Option(help="For the class, and again one at a time.")] = 5.0,
    shape: Annotated[
        bool, typer.Option(help="Random weights in the card's real shape, nothing downloaded.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="Compress the shape's weights.")] = "native",
    budget: Annotated[str, typer.Option(help="Memory budget of the app.")] = "4GB",
) -> None:
    """`visitors` who ask at once, again and again; then the same, one question at a time."""
    with tempfile.TemporaryDirectory() as cache:
        env = {}
        if shape:
            place_shape(model, Path(cache), recipe)
            env["HF_HUB_CACHE"] = cache
        for together in (True, False):
            with running_class(env, budget) as (address, code, key):
                row = lesson(address, code, key, model, visitors, minutes * 60, together)
            print(json.dumps(row), flush=True)


@contextmanager
def running_class(env: dict[str, str], budget: str) -> Iterator[tuple[str, str, str]]:
    """`slm-explorer serve --class` in a process of its own: (address, code, key)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "slm_explorer", "serve", "--class", "--host", "127.0.0.1",
                   "--port", str(port), "--home", home, "--memory-budget", budget]  # fmt: skip
        server = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        try:
            assert server.stderr is not None
            code = key = ""
            while not key:
                line = server.stderr.readline()
                if not line and server.poll() is not None:
                    raise RuntimeError("the app ended before it served")
                code = (re.findall(r"has the code (\w+)", line) or [code])[0]
                key = (re.findall(r"key, .*: (\S+)", line) or [""])[0]
            # Nobody reads on otherwise, and a full pipe would stop the app.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield f"http://127.0.0.1:{port}/", code, key
        finally:
            server.terminate()
            server.wait(60)


def lesson(
    address: str,
    code: str,
    key: str,
    model: str,
    count: int,
    seconds: float,
    together: bool,
    prompts: Sequence[str] = PROMPTS,
) -> dict[str, object]:
    """The figures of one class. One at a time: a visitor asks when the one before is answered."""
    teacher = Screen(address)
    teacher.enter(key)
    teacher.act("allow", models=[model])
    until(lambda: bool(state_of(teacher, model) not in ("", "loading")))
    screens = [Screen(address) for _ in range(count)]
    for number, screen in enumerate(screens):
        screen.join(code, f"Visitor {number}")
    # Alone, and in an empty chat: a first answer is also slower than all that follow.
    alone: dict[str, str] = {}
    for prompt in prompts:
        alone[prompt] = screens[0].ask(model, prompt).talk["turns"][0]["text"]
        screens[0].send("talk.clear", {})
    results = [Visitor() for _ in screens]
    turn = threading.Lock()
    begun = time.monotonic()

    def visit(number: int) -> None:
        asked = 0
        while time.monotonic() - begun < seconds:
            words = prompts[(number + asked) % len(prompts)]
            with nullcontext() if together else turn:
                if time.monotonic() - begun < seconds:
                    ask(screens[number], model, words, alone[words], results[number])
            asked += 1

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    for screen in (teacher, *screens):
        screen.close()
    return summary(model, results, took, together)


def ask(screen: Screen, model: str, words: str, expected: str, into: Visitor) -> None:
    """One question in an empty chat; waits where the class's own limit a minute says so."""
    # Clearing is limited too, and with an older turn in the chat the answer is another.
    cleared = screen.send("talk.clear", {}).json()["data"][0]
    asked = Asked(cleared, None, 0.0) if cleared["notice"] else screen.ask(model, words)
    if "wait" in asked.talk.get("notice", ""):
        into.limited += 1
        time.sleep(1.0)
        return
    newest = (asked.talk.get("turns") or [{}])[0]
    if asked.talk.get("notice") or newest.get("failed") or newest.get("running", True):
        into.errors.append(str(asked.talk.get("notice") or newest.get("note") or "lost"))
        return
    into.different += newest["prompt"] != words or newest["text"] != expected
    into.answers += 1
    into.tokens += int((re.findall(r"^(\d+) tokens", newest["figures"]) or ["0"])[0])
    if asked.first_text_s is not None:
        into.first.append(asked.first_text_s)


def summary(
    model: str, results: list[Visitor], seconds: float, together: bool
) -> dict[str, object]:
    """One row. `fairness` is the slowest visitor's tokens over the fastest's."""
    first = sorted(value for each in results for value in each.first)
    tokens = [each.tokens for each in results]
    answers = [each.answers for each in results]
    return {
        "measure": "class",
        "model": model,
        "visitors": len(results),
        "together": together,
        "seconds": seconds,
        "answers": sum(answers),
        "fewest_answers": min(answers),
        "most_answers": max(answers),
        "errors": [error for each in results for error in each.errors][:20],
        "error_count": sum(len(each.errors) for each in results),
        "limited": sum(each.limited for each in results),
        "different": sum(each.different for each in results),
        "tokens": sum(tokens),
        "tokens_per_s": sum(tokens) / seconds,
        "ttft_median_s": median(first) if first else None,
        "ttft_p95_s": quantiles(first, n=20)[-1] if len(first) > 1 else None,
        "fairness": min(tokens) / max(tokens) if max(tokens) else None,
    }


def state_of(teacher: Screen, model: str) -> str:
    """The first word of a model's state on the teacher's screen."""
    rows = [each for each in teacher.look()[0]["models"] if each["id"] == model]
    if not rows or rows[0]["error"]:
        raise RuntimeError(f"{model} cannot be used: {rows[0]['error'] if rows else 'not here'}")
    return str(rows[0]["note"]).partition(",")[0]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + START_S
    while not true():
        if time.monotonic() > end:
            raise RuntimeError("the model was not loaded in time")
        time.sleep(0.5)


if __name__ == "__main__":
    typer.run(measure)
