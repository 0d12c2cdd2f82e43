"""Text from outside, made safe to pass on."""

from __future__ import annotations


def clean_text(text: str) -> str:
    """Replace lone surrogates, which no tokenizer and no JSON encoder accepts, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
