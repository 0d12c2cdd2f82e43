"""Every error that a user may read. The message is the whole explanation: one sentence
that says what is wrong, and what to do next.

SlmError
├── InvalidRequest        the call itself is wrong (exit code 2): bad value, empty prompt
├── UnknownModel          no card, no Hub id in the cache, no such folder
├── BadCatalog            the shipped catalog.json is missing or broken
├── BadCheckpoint         a folder that is no checkpoint, is broken, or is not safetensors
├── UnsupportedModel      a real checkpoint of a kind that no engine here can run
├── DoesNotFit            the estimated footprint exceeds the memory budget
├── TrainingDiverged      a student's loss is no number any more
├── ContextOverflow       the conversation is longer than the model can read
├── TemplateError         the model's chat template failed on this conversation
├── WorkerError           the process that ran the model
│   ├── WorkerCrashed     it died (exit code -9 is most likely out of memory)
│   ├── WorkerHung        it stopped answering and was ended
│   └── Evicted           the watchdog or a user unloaded it during the request
├── Cancelled             the caller asked to stop before the first token
├── HubError              the Hub refuses, fails, answers nonsense or cannot be reached
│   └── Offline           the network may not be used
├── StorageError          the home folder is read-only, full or unusable
└── ServerError           the page could not be served: port taken, address unknown
"""

from __future__ import annotations


class SlmError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = 1


class InvalidRequest(SlmError):
    exit_code = 2


class UnknownModel(SlmError):
    pass


class BadCatalog(SlmError):
    pass


class BadCheckpoint(SlmError):
    pass


class UnsupportedModel(SlmError):
    pass


class DoesNotFit(SlmError):
    """The model needs more memory than the budget leaves.

    `needed` and `free` are bytes.
    """

    def __init__(self, message: str, needed: int = 0, free: int = 0) -> None:
        super().__init__(message)
        self.needed = needed
        self.free = free


class TrainingDiverged(SlmError):
    pass


class ContextOverflow(SlmError):
    pass


class TemplateError(SlmError):
    pass


class WorkerError(SlmError):
    pass


class WorkerCrashed(WorkerError):
    pass


class WorkerHung(WorkerError):
    pass


class Evicted(WorkerError):
    pass


class Cancelled(SlmError):
    pass


class HubError(SlmError):
    pass


class Offline(HubError):
    pass


class StorageError(SlmError):
    pass


class ServerError(SlmError):
    pass


def error_of_kind(kind: str, message: str) -> SlmError:
    """Rebuild an error that crossed a process boundary as (class name, message)."""
    pending: list[type[SlmError]] = [SlmError]
    while pending:
        candidate = pending.pop()
        if candidate.__name__ == kind:
            return candidate(message)
        pending.extend(candidate.__subclasses__())
    return SlmError(message)
