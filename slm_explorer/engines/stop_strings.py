"""Stop strings in a stream of text pieces: nothing of them, or after them, gets out."""

from __future__ import annotations


class StopStrings:
    """Passes text on until one of the stop strings appears, wherever the pieces are cut.

    The end of the text that might be the beginning of a stop string is held back until the
    next piece decides.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        """The text that is certain to come before any stop string; sets `stopped`."""
        if not self._stops:
            return piece
        text = self._held + piece
        starts = [at for at in map(text.find, self._stops) if at >= 0]
        if starts:
            self._held = ""
            self.stopped = True
            return text[: min(starts)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, when no more text will come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a beginning of `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
