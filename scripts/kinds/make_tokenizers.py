"""Training the two tokenizers on the first texts of what their models will read and write."""

from __future__ import annotations

from pathlib import Path

from sprouts.split import Split

from .batches import generator
from .family import ENCODER, FAMILY, TEXT_TO_TEXT, tokenizer_folder
from .reading import long_text, short_text
from .rewriting import TASKS, rewriting
from .tokenizer import encoder_tokenizer, save, text_to_text_tokenizer

TEXTS = 20_000


def make_tokenizers(work: Path) -> None:
    """Write both tokenizers into the work folder."""
    rng = generator("tokenizer", 0)
    texts = [make(rng) for _ in range(TEXTS) for make in (short_text, long_text)]
    save(encoder_tokenizer(texts), tokenizer_folder(FAMILY[ENCODER], work))
    drawn = [rewriting(rng, task, Split.TRAIN) for _ in range(TEXTS // 2) for task in TASKS]
    both = [text for each in drawn for text in (each.source, each.target)]
    save(text_to_text_tokenizer(both), tokenizer_folder(FAMILY[TEXT_TO_TEXT], work))
