"""What the header strip and the meters show, as plain values for assets/page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slm_explorer.meters.readings import DeviceReading, Snapshot
from slm_explorer.types import WorkerState
from slm_explorer.units import format_bytes

SPAN_S = 120.0
"""Seconds of history that the charts show."""

COLUMNS = (
    ("Model", "", False),
    ("Recipe", "How the weights are held", False),
    ("State", "What the process is doing", False),
    ("PSS", "Proportional memory: pages shared with other processes count in part", True),
    ("USS", "Private memory: what unloading gives back", True),
    ("Peak", "The most private memory seen since it started", True),
    ("Predicted", "What the app estimated before loading it", True),
    ("CPU", "Percent of one core, over the last second", True),
)


def strip_view(snapshot: Snapshot) -> dict[str, object]:
    """The header strip: memory, CPU and loaded models."""
    memory, cpu = snapshot.device("memory"), snapshot.device("cpu")
    workers = [worker for worker in snapshot.workers if worker.phase != "dead"]
    names = ", ".join(worker.spec.model for worker in workers)
    return {
        "items": [
            {
                "label": "Memory",
                "text": _amount(memory),
                "title": _method(memory),
                "fraction": memory.utilization if memory else None,
                "meter": "memory",
            },
            {
                "label": "CPU",
                "text": _share(cpu.utilization if cpu else None),
                "title": _method(cpu),
                "fraction": cpu.utilization if cpu else None,
                "meter": "cpu",
            },
            {
                "label": "Models",
                "text": f"{len(workers)} loaded",
                "title": names or "No model is loaded.",
                "fraction": None,
                "meter": "models",
            },
        ]
    }


def meters_view(
    snapshot: Snapshot, history: Sequence[Snapshot], *, may_unload: bool
) -> dict[str, object]:
    """Every device with its history, and every worker."""
    shown = [past for past in history if snapshot.at - past.at <= SPAN_S]
    gauges = []
    for position, device in enumerate(snapshot.devices):
        gauge = _gauge(device, snapshot, shown, position)
        gauge["id"] = device.kind if device.kind != "gpu" else f"gpu-{position}"
        gauges.append(gauge)
    if snapshot.gpu_reason is not None:
        gauges.append(_missing_gpu(snapshot.gpu_reason))
    workers = [worker for worker in snapshot.workers if worker.phase != "dead"]
    app = "n/a" if snapshot.app_uss_bytes is None else format_bytes(snapshot.app_uss_bytes)
    budget = "n/a" if snapshot.budget_bytes is None else format_bytes(snapshot.budget_bytes)
    return {
        "span_s": SPAN_S,
        "gauges": gauges,
        "columns": [
            {"text": text, "title": title, "number": number} for text, title, number in COLUMNS
        ],
        "workers": [_worker(worker, may_unload) for worker in workers],
        "workers_note": f"budget for all models {budget} · this web app itself {app}",
    }


def _gauge(
    device: DeviceReading, now: Snapshot, history: Sequence[Snapshot], position: int
) -> dict[str, object]:
    def reading(past: Snapshot) -> DeviceReading | None:
        same = [other for other in past.devices if other.kind == device.kind]
        places = [other for other in now.devices[:position] if other.kind == device.kind]
        return same[len(places)] if len(same) > len(places) else None

    gauge: dict[str, object] = {
        "title": _title(device),
        "text": _share(device.utilization) if device.kind == "cpu" else _amount(device),
        "note": _method(device),
        "points": _points(now, history, reading) if device.utilization is not None else None,
        "cores": None,
    }
    if device.kind == "cpu":
        gauge["cores"] = [
            {"fraction": round(core, 3), "text": _share(core)} for core in now.cores
        ] or None
    if device.kind == "gpu" and device.utilization is not None:
        power = "" if device.power_w is None else f" · {device.power_w:.0f} W"
        gauge["text"] = f"{_share(device.utilization)} · {_amount(device)}{power}"
    return gauge


def _missing_gpu(reason: str) -> dict[str, object]:
    note = reason.removeprefix("n/a: ")
    return {
        "id": "gpu", "title": "GPU", "text": "n/a", "note": note, "points": None, "cores": None
    }  # fmt: skip


def _points(
    now: Snapshot,
    history: Sequence[Snapshot],
    reading: Callable[[Snapshot], DeviceReading | None],
) -> list[list[float | None]]:
    points: list[list[float | None]] = []
    for past in history:
        found = reading(past)
        value = found.utilization if found else None
        points.append([round(now.at - past.at, 1), None if value is None else round(value, 3)])
    return points


def _title(device: DeviceReading) -> str:
    # A folder's path is nothing that a visitor of a public page needs to know.
    return {"cpu": "CPU", "memory": "Memory", "swap": "Swap", "disk": "Model cache"}.get(
        device.kind, device.name
    )


def _amount(device: DeviceReading | None) -> str:
    if device is None or device.used_bytes is None:
        return "n/a"
    if device.total_bytes is None:
        return format_bytes(device.used_bytes)
    return f"{format_bytes(device.used_bytes)} of {format_bytes(device.total_bytes)}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0%}"


def _method(device: DeviceReading | None) -> str:
    """Why there is no value, or where it comes from."""
    if device is None:
        return "not read on this machine"
    if device.reason is not None:
        return device.reason.removeprefix("n/a: ")
    if device.kind == "cpu":
        return f"{device.name}; {device.source}"
    return device.source


def _worker(worker: WorkerState, may_unload: bool) -> dict[str, object]:
    def size(count: int | None) -> str:
        return "n/a" if count is None else format_bytes(count)

    state: str = worker.phase
    if worker.phase == "loading":
        state = f"loading, {worker.loading_fraction:.0%}"
    elif worker.phase == "idle":
        state = f"idle for {worker.idle_s:.0f} s"
    elif worker.waiting:
        state = f"{worker.phase}, {worker.waiting} waiting"
    return {
        "key": worker.key,
        "may_unload": may_unload and worker.phase in ("idle", "busy", "loading"),
        "cells": [
            worker.spec.model,
            worker.spec.recipe,
            state,
            size(worker.pss_bytes),
            size(worker.uss_bytes),
            size(worker.peak_memory_bytes),
            size(worker.predicted_bytes or None),
            "n/a" if worker.cpu_percent is None else f"{worker.cpu_percent:.0f} %",
        ],
    }
