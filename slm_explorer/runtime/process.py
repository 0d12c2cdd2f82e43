"""What a worker process does before it serves: be quiet, be offline, die with the app."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from slm_explorer.runtime.child import serve
from slm_explorer.runtime.wire import Connection

# Loading a model never needs the network, and nothing here reports home. The app itself may
# download, so these are set in the workers only.
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def settle() -> None:
    """Set the environment, and send what libraries print to stderr: stdout is the app's own."""
    os.environ.update(ENVIRONMENT)
    # Ctrl-C in a terminal reaches every process of the group; the app ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.flush()
    os.dup2(2, 1)


def main(connection: Connection) -> None:
    """The worker process. Ends when the connection does, at once, even amid a computation:
    the app closes it by ending, however it ends.
    """
    settle()
    # Should the kernel ever have to end a process, then one that holds a model and not the app.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")
    serve(connection, hung_up=lambda: os._exit(0))
    # Not through the interpreter's own end, which waits for whatever threads libraries left.
    os._exit(0)
