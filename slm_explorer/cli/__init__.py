"""The command line: each command parses its words, calls one service and prints.

With --json, stdout carries JSON Lines and nothing else; progress and errors go to stderr.
Exit codes: 0 success, 2 a wrong call, 1 anything that failed, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from slm_explorer.cli import advise, commands, compress, hub, lab, models, space, tasks
from slm_explorer.errors import SlmError

app = typer.Typer(
    name="slm-explorer",
    help="Explore and compare small language models.",
    epilog="Add --debug to any command to see the traceback of an error.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)
for _group in (commands, tasks, models, advise, compress, hub, lab, space):
    app.add_typer(_group.app)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; `serve` where no command is named."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or (words[0].startswith("-") and words[0] not in ("--help", "--version")):
        words.insert(0, "serve")
    try:
        app(words)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away; flushing at exit would only complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # the boundary to the user: one sentence, never a traceback
        if debug:
            traceback.print_exc()
        known = isinstance(error, SlmError)
        message = str(error) if known else f"{type(error).__name__}: {error} (see --debug)"
        print("error: " + " ".join(message.split()), file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, SlmError) else 1)


def _version(wanted: bool) -> None:
    if wanted:
        from slm_explorer import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    del version
