"""What the README says of the catalog is what the catalog says."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from write_kinds_table import BEGIN, END, README, with_table


def test_the_table_of_architectures_is_the_catalogs() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count(BEGIN) == 1
    assert readme.count(END) == 1
    assert with_table(readme) == readme, "run scripts/write_kinds_table.py"
