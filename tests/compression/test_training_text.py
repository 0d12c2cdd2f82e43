"""What a student learns from: rows of the user's text, or rows that the parent writes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from slm_explorer.compression.training_pair import load_pair
from slm_explorer.compression.training_text import TrainingText, parents_text, user_text
from slm_explorer.errors import Cancelled, InvalidRequest
from tests.compression.models import save_other
from tests.conftest import ROOT
from tests.engines.models import EOS, TEXT, build_tokenizer, save_model

SPROUT = ROOT / "assets" / "sprouts" / "sprout-300k"


def written(folder: Path, rows: int, seed: int = 0, window: int = 48) -> TrainingText:
    torch.manual_seed(seed)
    model = load_pair(folder, folder).parent
    return parents_text(model, rows, window, lambda: False, lambda: False, lambda _done: None)


def test_the_users_text_is_cut_into_rows_after_a_bos(tiny_llama: Path) -> None:
    model = load_pair(tiny_llama, tiny_llama).parent
    text = TEXT * 40
    cut = user_text(model, text, 50, encoder=False)
    ids = build_tokenizer()(text).input_ids
    assert cut.ids.shape == (len(ids) // 49, 50)
    assert cut.ids[:, 0].tolist() == [0] * len(cut.ids)
    assert cut.ids[:, 1:].flatten().tolist() == ids[: len(ids) // 49 * 49]
    assert cut.tokens == len(ids) // 49 * 49
    assert cut.origin == "user"


def test_a_text_that_is_too_short_is_refused(tiny_llama: Path) -> None:
    model = load_pair(tiny_llama, tiny_llama).parent
    with pytest.raises(InvalidRequest, match="1,000"):
        user_text(model, TEXT, 50, encoder=False)


def test_an_encoder_reads_rows_between_its_marks(tmp_path: Path) -> None:
    folder = save_other(tmp_path / "bert", "bert")
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens(
        {"mask_token": "<|endoftext|>", "cls_token": "<|im_start|>", "sep_token": "<|im_end|>"}
    )
    tokenizer.save_pretrained(folder)
    cut = user_text(load_pair(folder, folder).parent, TEXT * 40, 32, encoder=True)
    assert set(cut.ids[:, 0].tolist()) == {1}
    assert set(cut.ids[:, -1].tolist()) == {2}
    assert cut.learnt[0].tolist() == [False] + [True] * 30 + [False]


def test_the_parent_writes_what_it_knows_and_equally_for_equal_seeds() -> None:
    first, again, other = written(SPROUT, 4), written(SPROUT, 4), written(SPROUT, 4, seed=1)
    assert first.origin == "parent"
    assert torch.equal(first.ids, again.ids)
    assert not torch.equal(first.ids, other.ids)
    tokenizer = load_pair(SPROUT, SPROUT).parent.tokenizer
    assert tokenizer is not None
    words = " ".join(tokenizer.batch_decode(first.ids, skip_special_tokens=True)).split()
    assert {"the", "a", "was", "What", "and", "is"} & set(words)


def test_rows_of_a_chat_begin_where_a_user_speaks_too() -> None:
    rows = written(SPROUT, 40, window=16)
    tokenizer = load_pair(SPROUT, SPROUT).parent.tokenizer
    assert tokenizer is not None
    opening = tokenizer("<|im_start|>user\n", add_special_tokens=False).input_ids
    # 32 rows at a time: the first batch begins at BOS alone, the second in a user's turn.
    assert not rows.learnt[0, 0]
    assert rows.learnt[0, 1]
    assert rows.ids[39, 1 : len(opening) + 1].tolist() == opening
    assert not rows.learnt[39, : len(opening) + 1].any()
    assert rows.learnt[39, len(opening) + 1 :].all()


def test_what_follows_the_end_of_a_plain_text_is_not_learnt(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", "llama", tokenizer=build_tokenizer(chat_template=None))
    rows = written(folder, 32)
    ended = 0
    for ids, learnt in zip(rows.ids.tolist(), rows.learnt.tolist(), strict=True):
        if EOS in ids[1:]:
            end = ids.index(EOS, 1)
            ended += 1
            assert all(learnt[1 : end + 1])
            assert not any(learnt[end + 1 :])
        else:
            assert all(learnt[1:])
    assert ended


def test_what_follows_the_second_end_of_a_turn_is_not_learnt() -> None:
    rows = written(SPROUT, 40, window=256)
    assert not rows.learnt[:, -1].all(), "most of its texts are short"
    [end] = load_pair(SPROUT, SPROUT).parent.eos_ids
    for ids, learnt in zip(rows.ids.tolist(), rows.learnt.tolist(), strict=True):
        last = max(at for at, told in enumerate(learnt) if told)
        first = learnt.index(True)
        assert all(learnt[first : last + 1])
        assert (end, end) not in pairwise(ids[first : last + 1])
        assert last == 255 or ids[last : last + 2] == [end, end]


def test_a_model_that_never_ends_a_text_fills_its_rows() -> None:
    parent = load_pair(SPROUT, SPROUT).parent
    endless = replace(parent, eos_ids=frozenset())
    torch.manual_seed(0)
    rows = parents_text(endless, 2, 40, lambda: False, lambda: False, lambda _done: None)
    assert rows.learnt[:, 1:].all()


def test_writing_stops_when_it_is_cancelled(tiny_llama: Path) -> None:
    model = load_pair(tiny_llama, tiny_llama).parent
    asked: list[int] = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        parents_text(model, 1000, 200, lambda: False, cancelled, lambda _done: None)
    assert len(asked) < 8


def test_some_rows_are_held_out(tiny_llama: Path) -> None:
    model = load_pair(tiny_llama, tiny_llama).parent
    text = user_text(model, TEXT * 40, 40, encoder=False)
    learnt, held_out = text.split(0)
    assert len(held_out.ids) == len(text.ids) // 10
    assert len(learnt.ids) + len(held_out.ids) == len(text.ids)
    assert learnt.tokens + held_out.tokens == text.tokens
