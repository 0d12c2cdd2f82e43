"""Devices that a model may be meant for, and what of their memory it can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slm_explorer.catalog.reading import read_entries
from slm_explorer.errors import BadCatalog, InvalidRequest
from slm_explorer.units import format_bytes

Processor = Literal["cpu", "gpu"]
DeviceKind = Literal["here", "phone", "board", "laptop", "server", "gpu"]
THIS_MACHINE = "here"


@dataclass(frozen=True)
class Device:
    """Bytes of memory in all, and of that what one model with its process can have.

    `reason` says why not all of it, `source` where that is from: "an assumption of ours" where
    nobody has published it. On a "gpu" both are the card's own memory.
    """

    id: str
    name: str
    kind: DeviceKind
    processor: Processor
    total_bytes: int
    usable_bytes: int
    reason: str
    source: str

    @property
    def in_words(self) -> str:
        """Its name within a sentence."""
        return "this machine" if self.id == THIS_MACHINE else self.name


def load_devices(assets: Path) -> tuple[Device, ...]:
    """The devices of `assets`/devices.json in its order. Raises BadCatalog, naming the place."""
    path = assets / "devices.json"
    devices = read_entries(path, "devices", Device)
    for device in devices:
        if not 0 < device.usable_bytes <= device.total_bytes:
            raise BadCatalog(f"{path}, {device.id}: usable_bytes should be within total_bytes.")
    if len({device.id for device in devices}) < len(devices):
        raise BadCatalog(f"{path} has two devices of one id.")
    return devices


def this_machine(total_bytes: int, usable_bytes: int, source: str) -> Device:
    """The device that the app runs on. Its limits are measured, and given from outside."""
    return Device(
        id=THIS_MACHINE,
        name="This machine",
        kind="here",
        processor="cpu",
        total_bytes=total_bytes,
        usable_bytes=min(usable_bytes, total_bytes),
        reason=f"Of {format_bytes(total_bytes)} ({source}), what all models together may take.",
        source="measured here",
    )


def find_device(devices: Sequence[Device], device_id: str) -> Device:
    """The device of that id; InvalidRequest names those there are."""
    for device in devices:
        if device.id == device_id:
            return device
    known = ", ".join(device.id for device in devices)
    raise InvalidRequest(f"No device is called {device_id[:40]!r}: there are {known}.")
