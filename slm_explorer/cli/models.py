"""The command that lists the catalog, by words and by facets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from slm_explorer.catalog.search import Facets, FacetValue, facet_values
from slm_explorer.cli.options import Budget, Home, Json, Threads, open_services
from slm_explorer.errors import InvalidRequest
from slm_explorer.printing import Printer

app = typer.Typer()
_SIZES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


@app.command()
def models(
    search: Annotated[str, typer.Argument(help="Words that must all match.")] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="encoder, decoder or encoder-decoder; repeat it for any of several."),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task as the Hub names it, like fill-mask; repeat it for any."),
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="A family, like Qwen3; repeat it for any.")
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option(metavar="COUNT", help="At most so many, like 500M or 3B.")
    ] = None,
    min_context: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="A context at least this long.")
    ] = None,
    commercial: Annotated[
        bool,
        typer.Option(
            "--commercial", help="The licence permits commercial use, maybe under conditions."
        ),
    ] = False,
    fits: Annotated[
        bool, typer.Option("--fits", help="Only what fits this machine's memory.")
    ] = False,
    home: Home = None,
    memory_budget: Budget = None,
    threads: Threads = None,
    json_lines: Json = False,
) -> None:
    """List the catalog, and whether each model fits this machine."""
    largest = None if max_parameters is None else _count(max_parameters)
    with open_services(home, memory_budget, threads) as services:
        known = facet_values(services.catalog.cards)
        facets = Facets(
            kinds=_spelt("kind", kind, known["kinds"]),
            tasks=_spelt("task", task, known["tasks"]),
            families=_spelt("family", family, known["families"]),
            max_parameters=largest,
            min_context=min_context,
            commercial_use=frozenset({"yes", "conditions"}) if commercial else frozenset(),
            fits=services.fits_here if fits else None,
        )
        Printer(json_lines).table(services.model_rows(search, facets), "models")


def _count(text: str) -> int:
    """A count of parameters from words like 20M, 1.5B or 340000."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmb]?)", text.strip(), re.IGNORECASE)
    if match is None:
        raise InvalidRequest(f"A number of parameters looks like 500M or 3B, not {text!r}.")
    return round(float(match[1]) * _SIZES[match[2].upper()])


def _spelt(name: str, words: list[str] | None, values: Sequence[FacetValue]) -> frozenset[Any]:
    """The catalog's own spelling of each word; an unknown one is refused, with what is close."""
    spelt = {each.value.casefold(): each.value for each in values}
    for word in words or ():
        if word.casefold() not in spelt:
            close = difflib.get_close_matches(word.casefold(), spelt, n=3, cutoff=0.5)
            offered = [spelt[each] for each in close or spelt]
            raise InvalidRequest(
                f"The catalog has no {name} {word!r}; there is {', '.join(offered)}."
            )
    return frozenset(spelt[word.casefold()] for word in words or ())
