"""What came of a class, as CSV: what was pushed, answered and voted, and nobody's chat."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from slm_explorer.classroom.types import PushResults

COLUMNS = ("push", "kind", "prompt", "what", "who", "model", "text", "votes")


def class_csv(results: Sequence[PushResults], votes: Sequence[tuple[int, str, str]]) -> str:
    """One row for each model's answer, each reply and each vote, oldest push first. Cells that a
    spreadsheet would run as a formula begin with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)

    def row(result: PushResults, what: str, who: str, model: str, text: str, count: str) -> None:
        push = result.push
        cells = (str(push.number), push.kind, push.text, what, who, model, text, count)
        writer.writerow([_safe(cell) for cell in cells])

    for result in sorted(results, key=lambda each: each.push.number):
        models = {answer.letter: answer.model for answer in result.push.answers}
        if not models and not result.replies:
            row(result, "push", "", "", "", "")
        for answer in result.push.answers:
            count = str(result.votes.get(answer.letter, 0))
            row(result, f"answer {answer.letter}", "", answer.model, answer.text, count)
        for reply in result.replies:
            row(result, "reply", reply.name, "", reply.text, "")
        for number, name, letter in votes:
            if number == result.push.number:
                row(result, f"vote {letter}", name, models[letter], "", "")
    return out.getvalue()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
