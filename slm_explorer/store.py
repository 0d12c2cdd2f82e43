"""What is worth keeping between runs, in one SQLite file in the home folder.

Four tables: `loads` (predicted beside measured memory of every load), `peaks` (the same with
what the prediction was made of, to correct later ones), `runs` (rows of bench and evaluate) and
`lab_runs` (the newest state of every run of the lab).
Losing it loses history only, so a home that cannot be written is said once and does not stop
the app.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slm_explorer.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS loads (
    at REAL NOT NULL, model TEXT NOT NULL, recipe TEXT NOT NULL, engine TEXT NOT NULL,
    predicted_bytes INTEGER NOT NULL, measured_bytes INTEGER
);
CREATE TABLE IF NOT EXISTS peaks (
    at REAL NOT NULL, engine_version TEXT NOT NULL, weights_bytes INTEGER NOT NULL,
    loaded_bytes INTEGER NOT NULL, measured_bytes INTEGER, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    at REAL NOT NULL, kind TEXT NOT NULL, row TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS lab_runs (
    id TEXT PRIMARY KEY, at REAL NOT NULL, row TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Load:
    """One load as it was predicted and measured. Bytes, tokens, seconds since 1970.

    `predicted_bytes` is for `context_tokens`; `loaded_bytes` is the peak expected before the
    first token, without any correction, which `measured_bytes` stands beside (None: unknown).
    `parts` are those of the prediction. `engine_version` says with which engine it was measured.
    """

    model: str
    recipe: str
    engine: str
    engine_version: str
    spec: str
    context_tokens: int
    predicted_bytes: int
    loaded_bytes: int
    measured_bytes: int | None
    weights_bytes: int
    parts: dict[str, int | None] = field(default_factory=dict)
    at: float = 0.0


class Store:
    """Safe to call from any thread. Opens the file at the first write."""

    def __init__(self, home: Path) -> None:
        self._path = home / "store.sqlite3"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def record_load(
        self, model: str, recipe: str, engine: str, predicted: int, measured: int | None
    ) -> None:
        """Keep the predicted and the measured peak of a load, bytes."""
        self._write(
            "INSERT INTO loads VALUES (?, ?, ?, ?, ?, ?)",
            (time.time(), model, recipe, engine, predicted, measured),
        )

    def record_peak(self, load: Load) -> None:
        """Keep a load's prediction and measurement, dated now where it has no date."""
        at = load.at or time.time()
        row = json.dumps(asdict(load) | {"at": at})
        self._write(
            "INSERT INTO peaks VALUES (?, ?, ?, ?, ?, ?)",
            (
                at,
                load.engine_version,
                load.weights_bytes,
                load.loaded_bytes,
                load.measured_bytes,
                row,
            ),
        )

    def peaks(self, model: str | None = None) -> list[Load]:
        """Every load kept by `record_peak`, or those of one model, oldest first."""
        with self._lock:
            rows = self._open().execute("SELECT row FROM peaks ORDER BY at").fetchall()
        found = [Load(**json.loads(row)) for (row,) in rows]
        return [load for load in found if model is None or load.model == model]

    def residuals(self, engine_version: str, *, max_weights: int, newest: int) -> list[int]:
        """Measured minus expected bytes of the newest loads of that engine version, each of a
        model of at most `max_weights` bytes: there the base is a large share.
        """
        with self._lock:
            rows = self._open().execute(
                "SELECT measured_bytes - loaded_bytes FROM peaks WHERE measured_bytes IS NOT NULL "
                "AND engine_version = ? AND weights_bytes <= ? ORDER BY at DESC LIMIT ?",
                (engine_version, max_weights, newest),
            )
            return [int(value) for (value,) in rows]

    def record_run(self, kind: str, row: dict[str, object]) -> None:
        """Keep one row of "bench", "evaluate" or "meters"."""
        self._write("INSERT INTO runs VALUES (?, ?, ?)", (time.time(), kind, json.dumps(row)))

    def forget_runs(self, kind: str, before: float) -> None:
        """Drop the rows of one kind kept before that moment (unix seconds)."""
        self._write("DELETE FROM runs WHERE kind = ? AND at < ?", (kind, before))

    def loads(self) -> list[tuple[str, int, int | None]]:
        """(model, predicted bytes, measured bytes) of every load, oldest first."""
        with self._lock:
            rows = self._open().execute(
                "SELECT model, predicted_bytes, measured_bytes FROM loads ORDER BY at"
            )
            return [(str(m), int(p), None if b is None else int(b)) for m, p, b in rows]

    def runs(self, kind: str) -> list[dict[str, object]]:
        """The kept rows of one kind, oldest first."""
        with self._lock:
            found = self._open().execute("SELECT row FROM runs WHERE kind = ? ORDER BY at", (kind,))
            return [json.loads(row) for (row,) in found]

    def keep_lab_run(self, run: str, at: float, row: dict[str, object]) -> None:
        """Keep a run of the lab, in the place of what was kept of it before."""
        self._write("INSERT OR REPLACE INTO lab_runs VALUES (?, ?, ?)", (run, at, json.dumps(row)))

    def forget_lab_run(self, run: str) -> None:
        self._write("DELETE FROM lab_runs WHERE id = ?", (run,))

    def lab_runs(self) -> list[dict[str, object]]:
        """The kept runs of the lab, oldest first."""
        with self._lock:
            found = self._open().execute("SELECT row FROM lab_runs ORDER BY at")
            return [json.loads(row) for (row,) in found]

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # Guarded by the lock, so that sharing one connection between threads is safe.
                connection = sqlite3.connect(self._path, check_same_thread=False, timeout=5)
                connection.executescript(_SCHEMA)
            except (OSError, sqlite3.Error) as error:
                raise self._broken(error) from error
            self._connection = connection
        return self._connection

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            connection = self._open()
            try:
                with connection:
                    connection.execute(statement, values)
            except sqlite3.Error as error:
                raise self._broken(error) from error

    def _broken(self, error: Exception) -> StorageError:
        return StorageError(
            f"History cannot be kept in {self._path.parent} ({error}): "
            "free some space there, or choose another folder with --home."
        )
