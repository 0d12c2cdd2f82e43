"""Why a worker ended or a request was dropped, in words for whoever waited."""

from __future__ import annotations

from slm_explorer.errors import Cancelled, Evicted, WorkerCrashed, WorkerHung
from slm_explorer.runtime.budget import MemoryView, gigabytes


def crashed(model: str, code: int | None, failure: Exception | None) -> WorkerCrashed:
    """The process died by itself: `code` is its exit code (negative: a signal, None: unknown),
    `failure` is what kept it from starting at all.
    """
    if failure is not None:
        what = getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        return WorkerCrashed(
            f"No process could be started for {model} ({what}): unload a model and try again."
        )
    again = "send the message again to load it anew"
    if code == -9:
        cause = "was ended by the system, likely out of memory (signal 9)"
        again = "unload another model or choose a smaller one"
    elif code is not None and code < 0:
        cause = f"crashed in native code (signal {-code})"
    else:
        cause = "ended unexpectedly" + ("" if code is None else f" (exit code {code})")
    return WorkerCrashed(f"The process that ran {model} {cause}: {again}.")


def hung(model: str, doing: str, timeout_s: float) -> WorkerHung:
    return WorkerHung(
        f"{model} did not {doing} for {timeout_s:g} seconds and was ended: "
        "try again, or choose a smaller model."
    )


def too_much(model: str, used: int, total: int, memory: MemoryView) -> Evicted:
    """The watchdog ended it before the kernel would."""
    return Evicted(
        f"{model} was unloaded because {_short(used, total, memory)}: unload another model or "
        "choose a smaller one, then try again."
    )


def stopped_for_memory(name: str, used: int, total: int, memory: MemoryView) -> Evicted:
    """The same for a process that is no worker."""
    return Evicted(
        f"{name} was stopped because {_short(used, total, memory)}: unload models or choose a "
        "smaller one, then try again."
    )


def _short(used: int, total: int, memory: MemoryView) -> str:
    if used > total:
        return f"the loaded models took {gigabytes(used)} of the {gigabytes(total)} budget"
    return f"only {gigabytes(memory.available)} of this machine's memory was left"


def unloaded(model: str) -> Evicted:
    return Evicted(f"{model} was unloaded meanwhile: send the message again to load it anew.")


def shutting_down() -> Evicted:
    return Evicted("SLM Explorer is shutting down: start it again to go on.")


def stopped_early() -> Cancelled:
    return Cancelled("The request was stopped before it began: send it again when you like.")
