"""Write README's table of architectures from the catalog; a test holds the two together."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the app's package, uninstalled

README = ROOT / "README.md"
BEGIN, END = "<!-- kinds: begin -->\n", "<!-- kinds: end -->\n"


def kinds_table() -> str:
    """A row for each architecture and class that a card names; methods without a model last."""
    from slm_explorer.assets import asset_folder
    from slm_explorer.catalog.catalog import Catalog
    from slm_explorer.catalog.uses import class_used, uses_of

    rows: dict[tuple[str, str], list[str]] = {}
    uses: dict[tuple[str, str], str] = {}
    for card in Catalog.load(asset_folder()).cards:
        key = (card.model_type or "none", class_used(card) or "none: a method, not a model")
        rows.setdefault(key, []).append(card.name)
        uses[key] = ", ".join(uses_of(card)) or "n/a"
    lines = ["| architecture | class of transformers | uses | models |"]
    lines.append("| --- | --- | --- | --- |")
    for key in sorted(rows, key=lambda key: (key[0] == "none", uses[key], key)):
        names = rows[key]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        lines.append(f"| {key[0]} | {key[1]} | {uses[key]} | {', '.join(names[:2])}{more} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str) -> str:
    """The README with the table between its two marks."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + kinds_table() + END + tail


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
