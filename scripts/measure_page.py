"""Measure what a visitor of the page gets: start-up, first tokens, speed, stops, many visitors.

Each command prints JSON Lines; BENCHMARKS.md keeps the figures. Run it on a quiet machine.
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
from pathlib import Path
from statistics import median
from typing import Annotated

import psutil
import typer
from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parent))
from gradio_client import Client
from measure.app_process import running_app
from measure.browser import (
    ask,
    await_end,
    choose_model,
    choose_one_lane,
    chromium,
    keystrokes,
    open_page,
)
from measure.shape import place_shape

from slm_explorer.assets import asset_folder
from slm_explorer.catalog.catalog import Catalog
from slm_explorer.services import build_services
from slm_explorer.settings import Settings
from slm_explorer.skills import list_suites, load_suite
from slm_explorer.types import Done, GenerateRequest, Message, Sampling

app = typer.Typer(help="Measure the page as its visitors meet it.", add_completion=False)


def show(**row: object) -> None:
    print(json.dumps(row), flush=True)


@app.command()
def startup(rounds: int = 3) -> None:
    """Seconds from starting the app to the page's first byte; its memory with four tabs open."""
    for _ in range(rounds):
        with running_app() as served, chromium() as browser:
            pages = [open_page(browser, served.url) for _ in range(4)]
            end = ask(pages[0], "Hello!")
            await_end(pages[0])
            show(
                measure="startup",
                first_byte_s=served.first_byte_s,
                uss_bytes_with_four_tabs=served.private_bytes(),
                tabs=len(pages),
                asked=end > 0,
            )


@app.command()
def clicks(rounds: int = 3) -> None:
    """Seconds from the click on Send to the first text in the first lane, cold and warm."""
    for _ in range(rounds):
        with running_app() as served, chromium() as browser:
            page = open_page(browser, served.url)
            # The worker's libraries are being imported since the app started; a visitor who
            # reads the page for a moment finds them ready.
            page.wait_for_timeout(3000)
            for kind in ("cold", "warm", "warm"):
                at = ask(page, "Tell me a story about a fox and a lantern.")
                seen = await_end(page)
                first = next(change.at for change in seen if change.texts and change.texts[0])
                show(measure="click", kind=kind, first_token_s=first - at)


@app.command()
def throughput(card: str = "smollm2-135m-instruct", rounds: int = 5) -> None:
    """Tokens/s that a browser sees, over tokens/s that bench measures, of one model. They take
    turns, since a virtual machine's speed changes from minute to minute: the ratio is the median
    of the rounds' own.
    """
    name = Catalog.load(asset_folder()).get(card).name
    with tempfile.TemporaryDirectory() as cache:
        place_shape(card, Path(cache))
        env = {**os.environ, "HF_HUB_CACHE": cache}
        words = ["bench", card, "--max-tokens", "256", "--prompt-tokens", "64", "--json"]
        command = [sys.executable, "-m", "slm_explorer", *words]
        paged, benched = [], []
        for _ in range(rounds):
            with running_app(HF_HUB_CACHE=cache) as served, chromium() as browser:
                page = open_page(browser, served.url)
                choose_one_lane(page, name)
                _page_tps(page)  # loads the model
                paged.append(median(_page_tps(page) for _ in range(3)))
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
            benched.append(json.loads(done.stdout)["decode_tps"])
    ratios = [seen / bare for seen, bare in zip(paged, benched, strict=True)]
    show(measure="throughput", card=card, page_tps=paged, bench_tps=benched,
         ratios=ratios, ratio=median(ratios))  # fmt: skip


def _page_tps(page: Page) -> float:
    ask(page, "Once upon a time there was a small fox who lived in a mill.")
    seen = [change for change in await_end(page) if change.tokens and change.tokens[0]]
    page.get_by_role("button", name="Clear chat").click()
    page.wait_for_selector(".slm-example")
    return (seen[-1].tokens[0] - seen[0].tokens[0]) / (seen[-1].at - seen[0].at)


# Four workers of their own, each long at its answer.
RACERS = ("smollm2-135m-instruct", "smollm2-360m-instruct", "opt-125m", "qwen2-5-0-5b-instruct")


@app.command()
def close() -> None:
    """Seconds from closing the tab of four racing lanes to all four workers idle."""
    with tempfile.TemporaryDirectory() as cache:
        for card in RACERS:
            place_shape(card, Path(cache))
        with running_app(HF_HUB_CACHE=cache) as served, chromium() as browser:
            page = open_page(browser, served.url)
            page.get_by_role("button", name="Add lane").click()
            page.wait_for_function("document.querySelectorAll('.slm-answer').length === 4")
            for slot, card in enumerate(RACERS):
                choose_model(page, slot, Catalog.load(asset_folder()).get(card).name)
            page.get_by_text("Race: all at once").click()
            ask(page, "Once upon a time")
            page.wait_for_function(
                "() => window.seen.some(([, lanes]) => lanes.every((lane) => lane.tokens > 4))",
                timeout=240_000,
            )
            server = psutil.Process(served.pid)
            at = time.monotonic()
            page.close()
            workers = server.children(recursive=True)
            idle_s = _await_quiet(workers, at)
            show(measure="close", lanes=4, idle_after_s=idle_s)


def _await_quiet(processes: list[psutil.Process], since: float) -> float:
    """Seconds until all processes together use under a twentieth of a core for 0.2 s."""
    while True:
        begun = time.monotonic()
        before = sum(sum(p.cpu_times()[:2]) for p in processes if p.is_running())
        time.sleep(0.2)
        after = sum(sum(p.cpu_times()[:2]) for p in processes if p.is_running())
        if after - before < 0.05 * 0.2:
            return begun - since


@app.command()
def visitors(
    count: Annotated[int, typer.Option(help="Visitors at once.")] = 20,
    seconds: Annotated[float, typer.Option(help="How long they chat.")] = 120,
    model: str = "sprout-300k",
) -> None:
    """Many visitors on one model at once: errors, wrong answers, and each one's share."""
    suites = list_suites(asset_folder())
    prompts = [i.messages[-1][1] for i in load_suite(suites["arithmetic"])[:count]]
    with running_app() as served:
        alone = Client(served.url, verbose=False)
        expected = {
            prompt: alone.predict(model=model, prompt=prompt, api_name="/chat")
            for prompt in prompts
        }
        served_count: Counter[int] = Counter()
        wrong: list[str] = []
        errors: list[str] = []
        waits: list[float] = []
        ends = time.monotonic() + seconds

        def visit(number: int) -> None:
            client = Client(served.url, verbose=False)
            prompt = prompts[number]
            while time.monotonic() < ends:
                at = time.monotonic()
                try:
                    row = client.predict(model=model, prompt=prompt, api_name="/chat")
                except Exception as error:
                    errors.append(repr(error))
                    return
                waits.append(time.monotonic() - at)
                wanted = expected[prompt]
                if (row["text"], row["output_tokens"]) != (wanted["text"], wanted["output_tokens"]):
                    wrong.append(row["text"])
                served_count[number] += 1

        threads = [threading.Thread(target=visit, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    shares = [served_count[number] for number in range(count)]
    show(
        measure="visitors",
        visitors=count,
        seconds=seconds,
        answers=sum(shares),
        errors=len(errors),
        wrong=len(wrong),
        fewest=min(shares),
        most=max(shares),
        median_wait_s=median(waits) if waits else None,
        first_error=errors[0] if errors else None,
    )


@app.command()
def keystroke(
    words: Annotated[int, typer.Option(help="How often each word is typed and taken back.")] = 5,
) -> None:
    """Seconds from a key pressed in the catalog's search to the frame that shows its answer."""
    with running_app() as served, chromium() as browser:
        page = open_page(browser, served.url)
        taken = keystrokes(page, ("distilled gemma", "qwen3 chat", "apache mha", "x") * words)
    taken.sort()
    show(
        measure="keystroke",
        cards=len(Catalog.load(asset_folder()).cards),
        keys=len(taken),
        median_s=median(taken),
        p95_s=taken[int(0.95 * (len(taken) - 1))],
        worst_s=taken[-1],
    )


@app.command()
def churn(rounds: int = 50, model: str = "sprout-300k") -> None:
    """Memory (USS) of the app and its forkserver before and after loads and unloads in turn."""
    with tempfile.TemporaryDirectory() as home:
        services = build_services(Settings(home=Path(home)))
        me = psutil.Process()
        try:
            levels: list[int] = []
            for number in range(rounds + 1):
                spec = services.chat.spec(model)
                request = GenerateRequest(
                    str(number), "v", Sampling(max_tokens=8), (Message("user", "Hello!"),)
                )
                events = list(services.manager.stream(spec, request, threading.Event()))
                assert isinstance(events[-1], Done), events[-1]
                for state in services.manager.states():
                    services.manager.unload(state.key)
                family = [me, *me.children(recursive=True)]
                levels.append(sum(p.memory_full_info().uss for p in family))
        finally:
            services.close()
    show(
        measure="churn",
        rounds=rounds,
        before_bytes=levels[0],
        after_bytes=levels[-1],
        growth_bytes=levels[-1] - levels[0],
    )


if __name__ == "__main__":
    app()
