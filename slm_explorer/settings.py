"""The app's settings: read once from the environment, then passed in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slm_explorer.errors import InvalidRequest

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Where a Space's storage is mounted, if its owner has given it any.
SPACE_STORAGE = Path("/data")

DEVICES = ("cpu", "cuda", "mps")

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}


def parse_bytes(text: str) -> int:
    """Bytes from "512MB", "1.5 GiB", "3g" or a bare number; decimal and binary units."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text)
    unit = match.group(2).upper() if match else ""
    if len(unit) == 1 and unit != "B":
        unit += "B"
    if match is None or unit not in _UNITS:
        raise InvalidRequest(f"{text!r} is not a size: write it like 512MB or 4GiB.")
    return int(float(match.group(1)) * _UNITS[unit])


def _positive(name: str, text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise InvalidRequest(f"{name} must be a whole number of at least 1, not {text!r}.")
    return int(text)


def _on(values: Mapping[str, str], name: str) -> bool:
    return values.get(name, "") not in ("", "0")


def _home(values: Mapping[str, str], space: bool) -> Path:
    named = values.get("SLM_EXPLORER_HOME")
    if named:
        return Path(named).expanduser()
    kept = space and SPACE_STORAGE.is_dir() and os.access(SPACE_STORAGE, os.W_OK)
    return SPACE_STORAGE / "slm-explorer" if kept else Path.home() / ".slm-explorer"


def _device(text: str) -> str:
    if text not in DEVICES:
        raise InvalidRequest(f"SLM_EXPLORER_DEVICE is one of {', '.join(DEVICES)}, not {text!r}.")
    return text


def _watts(text: str) -> tuple[float, float] | None:
    """(10.0, 25.0) from "10-25" or "10 - 25"; None from nothing."""
    if not text.strip():
        return None
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*-\s*([0-9]+(?:\.[0-9]+)?)\s*", text)
    low, high = map(float, match.groups()) if match else (0.0, 0.0)
    if not 0 < low <= high:
        raise InvalidRequest(f"SLM_EXPLORER_CPU_WATTS is a range such as 10-25, not {text!r}.")
    return low, high


@dataclass(frozen=True)
class Settings:
    """What the host decides. None means: found out on this machine.

    `memory_budget` is bytes for all workers together; `idle_timeout_s` unloads a worker that
    nobody has used; `hang_timeout_s` ends a worker that has shown no sign of life during a
    request; `max_workers` bounds the processes whatever their size. `public_lab` lets visitors
    of a page that is served to other machines make models smaller on this one. `cpu_watts` is
    what all cores take at full load above idle, from low to high: for an estimate where nothing
    measures. `class_mode` begins a class with the app.

    `device` is where models run: "cpu", "cuda" (NVIDIA) or "mps" (Apple).

    `public` treats visitors as strangers even on this machine's own address; `public_hub` lets
    them look up, download and delete models, `public_measure` measure shapes. `space` is set on
    Hugging Face Spaces; `proxied` believes the X-Forwarded headers of a proxy before the app.
    `host_names` are names that the page is reached by besides its addresses; `password` is asked
    of every visitor.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 7860
    memory_budget: int | None = None
    threads: int | None = None
    offline: bool = False
    idle_timeout_s: float = 900.0
    hang_timeout_s: float = 120.0
    max_workers: int = 16
    cpu_watts: tuple[float, float] | None = None
    device: str = "cpu"
    public_lab: bool = False
    class_mode: bool = False
    public: bool = False
    public_hub: bool = False
    public_measure: bool = False
    space: bool = False
    proxied: bool = False
    host_names: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)

    @property
    def trusted(self) -> bool:
        """Whether whoever opens the page sits at this machine, and may see and use more of it."""
        return self.host in LOOPBACK and not self.public

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Settings from SLM_EXPLORER_* variables; every one of them may be absent."""
        values = os.environ if env is None else env
        budget = values.get("SLM_EXPLORER_MEMORY_BUDGET")
        threads = values.get("SLM_EXPLORER_THREADS")
        class_mode = _on(values, "SLM_EXPLORER_CLASS")
        space = "SPACE_ID" in values
        names = [values.get("SPACE_HOST", ""), *values.get("SLM_EXPLORER_HOSTS", "").split(",")]
        return cls(
            home=_home(values, space),
            # A Space's container is reached from outside it, and a class from other machines;
            # everything else only from here.
            host=values.get("SLM_EXPLORER_HOST")
            or ("0.0.0.0" if space or class_mode else "127.0.0.1"),
            port=_positive("SLM_EXPLORER_PORT", values.get("SLM_EXPLORER_PORT", "7860")),
            memory_budget=parse_bytes(budget) if budget else None,
            threads=_positive("SLM_EXPLORER_THREADS", threads) if threads else None,
            offline=_on(values, "SLM_EXPLORER_OFFLINE"),
            device=_device(values.get("SLM_EXPLORER_DEVICE", "cpu")),
            cpu_watts=_watts(values.get("SLM_EXPLORER_CPU_WATTS", "")),
            public_lab=_on(values, "SLM_EXPLORER_PUBLIC_LAB"),
            class_mode=class_mode,
            public=space or _on(values, "SLM_EXPLORER_PUBLIC"),
            public_hub=_on(values, "SLM_EXPLORER_PUBLIC_HUB"),
            public_measure=_on(values, "SLM_EXPLORER_PUBLIC_MEASURE"),
            space=space,
            proxied=_on(values, "SLM_EXPLORER_PROXIED"),
            host_names=tuple(name.strip() for name in names if name.strip()),
            password=values.get("SLM_EXPLORER_PASSWORD") or None,
        )
