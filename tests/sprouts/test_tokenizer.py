"""The shipped tokenizer: any input round-trips, and the template writes what is promised."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

HARD = (
    "",
    " ",
    "plain",
    "  two  spaces  ",
    "tabs\tand\nlines\r\n\n",
    "2048 and 3.14",
    "naïve café, 日本語, עברית, ไทย",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "\x00\x01\x1b[31m\x7f\u200b\ufeff\u2028",
    "½ ² ⅷ",
    "e\u0301 and é",
    "\U0010ffff",
)


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "sprouts" / "sprout-1m")


@pytest.mark.parametrize("text", HARD)
def test_round_trip(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == text


def test_round_trip_of_random_code_points(tokenizer: Any) -> None:
    rng = random.Random(11)
    for _ in range(300):
        points = (rng.randrange(0x110000) for _ in range(rng.randint(1, 20)))
        text = "".join(chr(p) for p in points if not 0xD800 <= p <= 0xDFFF)
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_a_lone_surrogate_is_no_text_until_it_is_replaced(tokenizer: Any) -> None:
    broken = "a\ud800b"
    with pytest.raises((TypeError, UnicodeEncodeError)):
        tokenizer(broken)
    mended = broken.encode("utf-8", "replace").decode()
    ids = tokenizer(mended, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == mended == "a?b"


def test_one_digit_a_piece(tokenizer: Any) -> None:
    pieces = tokenizer.get_vocab()
    assert len(pieces) == 2048
    assert all(sum(c.isdigit() and c.isascii() for c in piece) <= 1 for piece in pieces)
    assert len(tokenizer("2048", add_special_tokens=False).input_ids) == 4


def test_raw_text_gets_a_bos(tokenizer: Any) -> None:
    assert tokenizer("Once").input_ids[0] == tokenizer.bos_token_id
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|bos|>",
        "<|im_end|>",
        "<|pad|>",
    )


def test_template(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Bye"},
    ]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|bos|><|im_start|>system\nBe kind.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello!<|im_end|>\n"
        "<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    closed = tokenizer.apply_chat_template(chat[1:3], tokenize=False)
    assert closed.endswith("Hello!<|im_end|>\n")
    assert tokenizer(text, add_special_tokens=False).input_ids.count(tokenizer.bos_token_id) == 1
