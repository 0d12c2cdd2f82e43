"""What the header strip and the meters show, as plain values for assets/page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slm_explorer.meters.events import Mark
from slm_explorer.meters.readings import Detail, DeviceReading, Snapshot
from slm_explorer.meters.shares import shares
from slm_explorer.runtime.budget import Alarm, MemoryView, alarm
from slm_explorer.ui.meters_picture import SPAN_S, colour, fullest, picture_view
from slm_explorer.ui.meters_rows import NOTHING, process_rows
from slm_explorer.units import format_bytes

COLUMNS = (
    ("Part", "", False),
    ("State", "What the process is doing", False),
    ("PSS", "Proportional memory: pages shared with other processes count in part", True),
    ("USS", "Private memory: what ending it gives back", True),
    ("Peak", "The most private memory seen since it started: its high-water mark", True),
    ("Predicted", "What the app estimated before loading it", True),
    ("CPU", "Percent of one core, over the last second", True),
    ("CPU time", "Processor seconds since it started", True),
    ("GPU", "Memory on NVIDIA GPUs, as the driver counts it", True),
    ("Tokens", "Tokens written since it started", True),
    ("Energy", "Joules of all its answers, above what the machine takes when idle", True),
)


def strip_view(snapshot: Snapshot) -> dict[str, object]:
    """The header strip: memory, CPU and loaded models."""
    memory, cpu = snapshot.device("memory"), snapshot.device("cpu")
    workers = [worker for worker in snapshot.workers if worker.phase != "dead"]
    names = ", ".join(worker.spec.model for worker in workers)
    return {
        "at": snapshot.at,
        "alarm": alarm_of(snapshot).sentence,
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
        ],
    }


def alarm_of(snapshot: Snapshot) -> Alarm:
    """How close this snapshot's memory is to its limit."""
    memory = snapshot.device("memory")
    if memory is None or memory.total_bytes is None or snapshot.available_bytes is None:
        return Alarm("ok", 0.0)
    return alarm(
        MemoryView(memory.total_bytes, memory.used_bytes, snapshot.available_bytes, memory.source)
    )


def meters_view(
    snapshot: Snapshot,
    history: Sequence[Snapshot],
    *,
    may_unload: bool,
    marks: Sequence[Mark] = (),
    energy: dict[str, object] | None = None,
) -> dict[str, object]:
    """Every device with its history, who has the memory, and every process of the app."""
    shown = fullest(snapshot.at, history)
    gauges = []
    for position, device in enumerate(snapshot.devices):
        gauge = _gauge(device, snapshot, shown, position)
        gauge["id"] = device.kind if device.kind != "gpu" else f"gpu-{position}"
        gauges.append(gauge)
    if snapshot.gpu_reason is not None:
        gauges.append(_missing_gpu(snapshot.gpu_reason))
    state = alarm_of(snapshot)
    colours = {part.key: colour(part) for part in shares(snapshot)}
    return {
        "span_s": SPAN_S,
        "alarm": {"level": state.level, "sentence": state.sentence},
        "picture": picture_view(snapshot, history, marks),
        "gauges": gauges,
        "columns": [
            {"text": text, "title": title, "number": number} for text, title, number in COLUMNS
        ],
        "rows": process_rows(snapshot, colours, may_unload=may_unload),
        "nothing": NOTHING,
        "models": sum(worker.phase != "dead" for worker in snapshot.workers),
        "energy": energy,
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
        "details": [_detail(detail) for detail in device.details],
    }
    if device.kind == "network":
        gauge["text"] = _rates(device)
        gauge["details"] = []
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
        "id": "gpu", "title": "GPU", "text": "n/a", "note": note, "points": None, "cores": None,
        "details": [],
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


def _detail(detail: Detail) -> dict[str, str]:
    """A figure with its unit; where it was read, or why it is n/a, is its title."""
    value = detail.value
    if value is None:
        return {"text": f"{detail.name} n/a", "title": detail.source.removeprefix("n/a: ")}
    text = {
        "share": f"{value:.1%}",
        "bytes": format_bytes(value),
        "bytes/s": f"{format_bytes(value)}/s",
        "Hz": f"{value / 1e9:.2f} GHz",
        "°C": f"{value:.0f} °C",
        "cores": f"{value:g}",
    }[detail.unit]
    return {"text": f"{detail.name} {text}", "title": detail.source}


def _rates(device: DeviceReading) -> str:
    received, sent = device.detail("received"), device.detail("sent")
    if received is None or sent is None or received.value is None or sent.value is None:
        return "n/a"
    return f"↓ {format_bytes(received.value)}/s  ↑ {format_bytes(sent.value)}/s"


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
