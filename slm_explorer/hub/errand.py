"""The app's side of the child process that talks to the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import slm_explorer
from slm_explorer.errors import HubError, Offline, SlmError, error_of_kind
from slm_explorer.settings import Settings

_TRUE = ("1", "ON", "YES", "TRUE")
_ENVIRONMENT = {
    # Xet downloads cannot be continued after a cut; see fetch.py.
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "PYTHONUTF8": "1",
}


def check_online(settings: Settings) -> None:
    """Raise Offline where the settings or the environment forbid the network."""
    if settings.offline:
        raise Offline(
            "The app was started offline, so the Hub is not asked: start it without --offline and "
            "SLM_EXPLORER_OFFLINE."
        )
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in _TRUE:
            raise Offline(f"{name} is set, so the Hub is not asked: unset it to use the Hub.")


class Errand:
    """One order given to a child of its own. `messages` reads what it tells until it ends."""

    def __init__(self, order: Mapping[str, object]) -> None:
        package = str(Path(slm_explorer.__file__).parent.parent)
        paths = [package, os.environ.get("PYTHONPATH", "")]
        try:
            self._child = subprocess.Popen(
                # -P: a file in the folder where the app was started must not replace a module.
                [sys.executable, "-P", "-m", "slm_explorer.hub.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    **_ENVIRONMENT,
                    "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                },
                # Ctrl-C in a terminal reaches every process of the group; the app ends this one.
                start_new_session=True,
            )
        except OSError as error:
            raise HubError(
                f"The process that talks to the Hub cannot start ({error.strerror}): try again."
            ) from None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(order).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            self.kill()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Everything before the result, then `{"result": ...}`. Raises the child's error."""
        assert self._child.stdout is not None
        try:
            for line in self._child.stdout:
                message: dict[str, Any] = json.loads(line)
                if "error" in message:
                    raise error_of_kind(message["kind"], message["error"])
                yield message
                if "result" in message:
                    return
            raise HubError("The process that talks to the Hub has ended by itself: try again.")
        finally:
            self.close()

    def kill(self) -> None:
        """End it now, and with it its connections. Safe from any thread, and twice."""
        self._child.kill()

    def close(self) -> None:
        """End it and free its handles."""
        self._child.kill()
        self._child.wait()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdout.close()
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            return


def wait_for(errand: Errand, deadline_s: float) -> dict[str, Any]:
    """The result of a short errand; HubError where it takes longer than `deadline_s`."""
    late = threading.Event()

    def end() -> None:
        late.set()
        errand.kill()

    timer = threading.Timer(deadline_s, end)
    timer.daemon = True
    timer.start()
    try:
        for message in errand.messages():
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
    except SlmError:
        if late.is_set():
            raise HubError(
                f"The Hub has not answered within {deadline_s:.0f} s: check the connection and "
                "try again."
            ) from None
        raise
    finally:
        timer.cancel()
    raise HubError("The process that talks to the Hub said nothing: try again.")
