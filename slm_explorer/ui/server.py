"""Serves the page: Gradio's settings, the security headers, and the end of a server's life."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slm_explorer.classroom.codes import join_link, reachable_address
from slm_explorer.errors import ServerError
from slm_explorer.services import Services
from slm_explorer.ui.lab_files import lab_files
from slm_explorer.ui.live import LiveRuns
from slm_explorer.ui.quick_import import quick_imports

if TYPE_CHECKING:
    import gradio as gr

MAX_WAITING = 256
MAX_THREADS = 80
_STYLES = ("catalog", "class", "hub", "lab", "meters")


def prepare_environment(home: Path) -> None:
    """What Gradio reads from the environment when it is imported; call it before that."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    for switch in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ[switch] = "1"
    # Else whoever shares this machine may write the address that limits count by.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    # Gradio rebuilds its usage table after every event otherwise: three times the CPU.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
    os.environ["GRADIO_TEMP_DIR"] = str(_temporary_folder(home))


def _temporary_folder(home: Path) -> Path:
    folder = home / "gradio"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # a read-only or full home does not stop the page
        return Path(tempfile.mkdtemp(prefix="slm-explorer-"))


def launch_arguments(services: Services, live: LiveRuns) -> dict[str, Any]:
    """Everything for Blocks.launch but where to listen."""
    from starlette.middleware import Middleware
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    from slm_explorer.ui.frames import FirstScript
    from slm_explorer.ui.guard import Guard
    from slm_explorer.ui.meters_view import strip_view
    from slm_explorer.ui.security import SecurityHeaders
    from slm_explorer.ui.sessions import KEPT_STATES
    from slm_explorer.ui.theme import build_theme

    def strip() -> object:
        return strip_view(services.sampler.latest())

    scripts = Mount("/slm", StaticFiles(directory=services.assets / "page"))
    return {
        "theme": build_theme(),
        "css_paths": [
            services.assets / "style.css",
            *(services.assets / "page" / f"{name}.css" for name in _STYLES),
        ],
        "app_kwargs": {
            "middleware": [
                Middleware(SecurityHeaders, space=services.settings.space),
                Middleware(Guard, settings=services.settings),
                Middleware(FirstScript),
            ],
            "routes": [scripts, lab_files(services), live.routes(strip)],
        },
        "max_threads": MAX_THREADS,
        "state_session_capacity": KEPT_STATES,
        "max_file_size": "1mb",
        "allowed_paths": [],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        "share": False,
        "footer_links": ["api"],
        "quiet": True,
    }


def launch(services: Services) -> tuple[gr.Blocks, str]:
    """Serve in a thread; the page and its address. Raises ServerError with the next step."""
    prepare_environment(services.settings.home)
    with quick_imports():
        from slm_explorer.ui.app import build_app
        from slm_explorer.ui.sessions import keep_little

    host, port = services.settings.host, services.settings.port
    services.sampler.start()
    services.manager.prewarm()
    live = LiveRuns()
    page = build_app(services, live).queue(
        max_size=MAX_WAITING, default_concurrency_limit=64, api_open=False
    )
    # Gradio looks a thousand times a second for work, which takes a twentieth of a core from the
    # models, and a hundred times for progress bars, of which this page has none. Fifty times delay
    # a click by 10 ms.
    page._queue.sleep_when_free = 0.02
    page._queue.progress_update_sleep_when_free = 0.5
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port, prevent_thread_lock=True,
            **launch_arguments(services, live),
        )  # fmt: skip
    except OSError as error:
        raise ServerError(
            f"The page could not be served at {host}:{port}, which is taken or not an address of "
            f"this machine: choose another with --port or --host. ({error})"
        ) from error
    keep_little(page)
    return page, address


def announce(address: str) -> None:
    """Tell whoever started the server where it is; stdout belongs to programs."""
    print(f"SLM Explorer is at {address} (Ctrl+C ends it)", file=sys.stderr, flush=True)


def announce_class(services: Services, key: str) -> None:
    """Where students go, and the key that only the teacher may have."""
    settings, code = services.settings, services.classroom.teacher_state(key).code
    reachable = reachable_address(settings.host, settings.port)
    link = f", or open {join_link(code, None, reachable)}" if reachable else ""
    print(
        f"The class has the code {code}: students type it on the Class tab{link}\n"
        f"Teacher's key, for the Class tab, not for students: {key}",
        file=sys.stderr,
        flush=True,
    )


def serve(services: Services, *, on_ready: Callable[[str], None] = announce) -> None:
    """Serve until interrupted (SIGINT) or told to end (SIGTERM); the caller closes `services`.

    `on_ready` is called with the page's address once it answers. Raises ServerError.
    """
    import signal
    import threading

    ended = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
    page, address = launch(services)
    try:
        on_ready(address)
        if services.settings.class_mode:
            announce_class(services, services.classroom.open())
        ended.wait()
    except KeyboardInterrupt:
        pass
    finally:
        page.close(verbose=False)
