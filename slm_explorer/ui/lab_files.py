"""What the lab gives out as files: addresses below the page, for those who may have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slm_explorer.errors import SlmError

if TYPE_CHECKING:
    from starlette.routing import Mount

    from slm_explorer.services import Services

# A report is our own page, but what stands in it came from models: nothing in it may run.
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def lab_files(services: Services) -> Mount:
    """`slm-lab/RUN/model.zip`, `report.html` and `report.json`; nothing where the page is served
    to others and the host has not allowed them the lab.
    """
    from starlette.requests import Request
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route

    lab, settings = services.lab, services.settings
    allowed = settings.trusted or settings.public_lab
    files: dict[str, tuple[Callable[[str], Path], str]] = {
        "model.zip": (lab.archive, "application/zip"),
        "report.html": (lab.report_html, "text/html"),
    }

    # Not async, so that it runs in a thread: packing a model may take a while.
    def give(request: Request) -> Response:
        run, name = str(request.path_params["run"]), str(request.path_params["name"])
        try:
            report = lab.run(run).report if allowed and name == "report.json" else None
            if report is not None:
                return JSONResponse(report)
            if not allowed or name not in files:
                return PlainTextResponse("There is no such file.", 404)
            make, media_type = files[name]
            path = make(run)
        except SlmError as error:
            return PlainTextResponse(str(error), 404)
        return FileResponse(
            path,
            media_type=media_type,
            filename=f"slm-lab-{run}{path.suffix}",
            headers={"Content-Security-Policy": _REPORT_POLICY},
        )

    return Mount("/slm-lab", routes=[Route("/{run}/{name}", give, methods=["GET"])])
