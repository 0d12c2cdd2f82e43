"""Training text as tokens on disk: conversation number i is made from seed i and nothing else.

There are two texts, for the main part of the training and for the review at its end.

Three flat arrays: token ids, the skill each token is an answer to (0: not learnt from), and the
offset at which each conversation starts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .conversation import Conversation, conversation
from .tokenizer import BOS, END, MAX_POSITIONS, START, train_tokenizer

SEED = 20260
TOKENIZER_CONVERSATIONS = 40_000
LEARNT_SKILLS = (
    "", "plain text", "small talk", "remember", "recall", "untold", "story", "story_questions",
    "arithmetic", "times", "compare", "sort", "spell", "copy", "opposites", "facts", "unknown",
)  # fmt: skip


def numbered(index: int, review: bool = False) -> Conversation:
    """Return training conversation number `index` of the main text or of the review."""
    return conversation(random.Random((SEED + review) * 1_000_003 + index), review)


def segments(conv: Conversation) -> list[tuple[str, str]]:
    """Cut a conversation into texts and the skill that each answers; "" where none is learnt."""
    if not conv.exchanges[0].user:
        return [(BOS, ""), (conv.exchanges[0].answer + END, "plain text")]
    parts = [(BOS, "")]
    if conv.system is not None:
        parts.append((f"{START}system\n{conv.system}{END}\n", ""))
    for each in conv.exchanges:
        parts.append((f"{START}user\n{each.user}{END}\n{START}assistant\n", ""))
        parts.append((f"{each.answer}{END}", each.skill))
        parts.append(("\n", ""))
    return parts


def make_tokenizer() -> Tokenizer:
    """Train the tokenizer on the first conversations."""
    texts = (
        text.replace(BOS, "").replace(START, "").replace(END, "")
        for index in range(TOKENIZER_CONVERSATIONS)
        for text, _ in segments(numbered(index))
    )
    return train_tokenizer(texts)


def write_data(tokenizer: Tokenizer, folder: Path, tokens: int, review: bool = False) -> int:
    """Write at least `tokens` tokens of conversations into `folder`; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    chunk, total, index = 2_000, 0, 0
    starts: list[int] = []
    ids_path, skills_path = folder / "tokens.bin", folder / "skills.bin"
    with ids_path.open("wb") as ids_file, skills_path.open("wb") as skills:
        while total < tokens:
            parts = [segments(numbered(i, review)) for i in range(index, index + chunk)]
            flat = [text for conv in parts for text, _ in conv]
            encoded = iter(tokenizer.encode_batch(flat, add_special_tokens=False))
            for conv in parts:
                ids: list[int] = []
                marks: list[int] = []
                for _, skill in conv:
                    piece = next(encoded).ids
                    ids += piece
                    marks += [LEARNT_SKILLS.index(skill)] * len(piece)
                ids, marks = ids[:MAX_POSITIONS], marks[:MAX_POSITIONS]
                starts.append(total)
                total += len(ids)
                np.array(ids, dtype=np.uint16).tofile(ids_file)
                np.array(marks, dtype=np.uint8).tofile(skills)
            index += chunk
    np.array([*starts, total], dtype=np.int64).tofile(folder / "starts.bin")
    return total


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole conversations end to end.

    ids, skills: (T,); lengths: (conversations,), which sum to T. The last token of a conversation
    predicts nothing.
    """

    ids: NDArray[np.int64]
    skills: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def part(self, number: int, parts: int) -> Batch:
        """Return one of `parts` shares of about equally many tokens, cut between conversations."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        goals = np.arange(parts + 1) * ends[-1] / parts
        cuts = np.abs(ends[:, None] - goals[None, :]).argmin(axis=0)
        first, last = int(cuts[number]), int(cuts[number + 1])
        span = slice(int(ends[first]), int(ends[last]))
        return Batch(self.ids[span], self.skills[span], self.lengths[first:last])


class Corpus:
    """The tokens on disk, handed out in order, in batches of about so many tokens."""

    def __init__(self, folder: Path, batch_tokens: int) -> None:
        self._ids = np.memmap(folder / "tokens.bin", dtype=np.uint16, mode="r")
        self._skills = np.memmap(folder / "skills.bin", dtype=np.uint8, mode="r")
        self._starts = np.fromfile(folder / "starts.bin", dtype=np.int64)
        cuts = [0]
        for number, start in enumerate(self._starts):
            if start - self._starts[cuts[-1]] > batch_tokens:
                cuts.append(number - 1)
        self._cuts = cuts

    def __len__(self) -> int:
        """Return how many batches there are."""
        return len(self._cuts) - 1

    def batch(self, number: int) -> Batch:
        """Return batch `number`; every model sees the same batches in the same order."""
        bounds = self._starts[self._cuts[number] : self._cuts[number + 1] + 1]
        span = slice(int(bounds[0]), int(bounds[-1]))
        return Batch(
            self._ids[span].astype(np.int64),
            self._skills[span].astype(np.int64),
            np.diff(bounds),
        )
