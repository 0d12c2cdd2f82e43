"""The command that advises: three models and recipes for a wish, with reasons."""

from __future__ import annotations

from typing import Annotated

import typer

from slm_explorer.catalog.advisor import Advice, Wish
from slm_explorer.cli.options import Budget, Home, Json, open_services
from slm_explorer.printing import Printer

app = typer.Typer()


@app.command()
def advise(
    task: Annotated[str, typer.Option(help="What it is to do, like chat or fill-mask.")] = "chat",
    device: Annotated[
        str, typer.Option(help="here, or a device like phone-6gb or laptop-16gb.")
    ] = "here",
    language: Annotated[str, typer.Option(help="A code, like en or de.")] = "en",
    commercial: Annotated[
        bool, typer.Option("--commercial", help="The licence must permit commercial use.")
    ] = False,
    deployment: Annotated[str, typer.Option(help="private, server, edge or browser.")] = "private",
    priority: Annotated[str, typer.Option(help="quality, speed or memory.")] = "quality",
    context: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="How long a text it must take.")
    ] = None,
    home: Home = None,
    memory_budget: Budget = None,
    json_lines: Json = False,
) -> None:
    """The three best models for a need, why, and what was ruled out."""
    wish = Wish(task, language, commercial, deployment, priority, context)
    with open_services(home, memory_budget, None) as services:
        advice = services.advise(wish, device)
    if json_lines:
        Printer(True).table([advice_row(advice)], "advice")
    else:
        typer.echo(_text(advice))


def advice_row(advice: Advice) -> dict[str, object]:
    """The advice as plain values, under the keys of --json."""
    return {
        "choices": [
            {
                "model": choice.card.id,
                "recipe": choice.recipe,
                "fit": choice.fit.verdict,
                "needed_bytes": choice.fit.needed,
                "reasons": [{"text": each.text, "kind": each.kind} for each in choice.reasons],
            }
            for choice in advice.choices
        ],
        "others": advice.others,
        "ruled_out": [
            {"rule": each.rule, "reason": each.reason, "models": list(each.cards)}
            for each in advice.ruled_out
        ],
        "notes": list(advice.notes),
    }


def _text(advice: Advice) -> str:
    lines = []
    for place, choice in enumerate(advice.choices, 1):
        lines.append(f"{place}. {choice.card.name} as {choice.recipe}  ({choice.card.id})")
        lines.extend(f"   - {each.text} [{each.kind}]" for each in choice.reasons)
    if not advice.choices:
        lines.append("No model of the catalog is left; what ruled them out:")
    lines.extend(f"Note: {note}" for note in advice.notes)
    for each in advice.ruled_out:
        lines.append(f"Ruled out, {len(each.cards)}: {each.reason} ({', '.join(each.cards)})")
    return "\n".join(lines)
