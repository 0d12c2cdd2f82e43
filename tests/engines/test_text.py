"""Text to tokens and back: streams that add up, stop strings, templates and their failures."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from slm_explorer.engines.stop_strings import StopStrings
from slm_explorer.engines.text import Detokenizer, plain_chat, token_text, with_bos
from slm_explorer.errors import ContextOverflow, InvalidRequest, TemplateError
from slm_explorer.types import Message, Sampling
from tests.engines.answers import ask, request, user
from tests.engines.conftest import load
from tests.engines.models import VOCABULARY, WINDOW, build_tokenizer

HARD = "naïve 😀👩\u200d🚀 日本語 \t\n\x00\x1b Ω≈ç√ z̸̢ end"


def byte_fallback_tokenizer() -> PreTrainedTokenizerFast:
    """Like Llama's: characters outside the vocabulary are bytes such as <0xE2>."""
    pieces = ["<unk>", *(f"<0x{value:02X}>" for value in range(256)), "▁", "▁the", "fox", "e", "t"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def pieces_of(tokenizer: Any, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.push(token) for token in ids), detokenizer.flush()]


@pytest.mark.parametrize("make", [build_tokenizer, byte_fallback_tokenizer])
def test_streamed_pieces_add_up_to_the_text(make: Any) -> None:
    tokenizer = make()
    ids = tokenizer(HARD, add_special_tokens=False).input_ids
    pieces = pieces_of(tokenizer, ids)
    assert "".join(pieces) == token_text(tokenizer, ids)
    assert not any("\ufffd" in piece for piece in pieces), "no half character gets out"
    assert "😀" in pieces, "an emoji of four byte tokens comes out whole"


@pytest.mark.parametrize("make", [build_tokenizer, byte_fallback_tokenizer])
def test_words_come_with_their_tokens(make: Any) -> None:
    tokenizer = make()
    ids = tokenizer("the fox the", add_special_tokens=False).input_ids
    # The first piece may be the space that belongs to no word.
    assert all(pieces_of(tokenizer, ids)[1:-1]), "plain text is not held back"


def test_any_tokens_stream_to_their_text() -> None:
    tokenizer = build_tokenizer()
    random_tokens = random.Random(5)
    for _ in range(200):
        # Valid text between stray bytes, as an untrained model would say it.
        ids = [random_tokens.randrange(3, VOCABULARY) for _ in range(12)]
        streamed = "".join(pieces_of(tokenizer, ids))
        assert streamed == token_text(tokenizer, ids)


def test_special_tokens_are_no_text() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer("a<|im_end|>b<|endoftext|>", add_special_tokens=False).input_ids
    assert "".join(pieces_of(tokenizer, ids)) == "ab"


def test_stop_strings_at_every_cut() -> None:
    text = "one two END three"
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            stops = StopStrings(("END", "ENDLESS", ""))
            parts = (text[:first], text[first:second], text[second:])
            out = ""
            for part in parts:
                out += stops.push(part)
                assert "one two ".startswith(out)
                if stops.stopped:
                    break
            assert (out, stops.stopped) == ("one two ", True)


def test_a_beginning_of_a_stop_string_is_held_and_given_back() -> None:
    stops = StopStrings(("\nUser:",))
    assert stops.push("fine\nUs") == "fine"
    assert stops.push("e it") == "\nUse it"
    assert stops.push("\n") == ""
    assert stops.flush() == "\n"
    assert not stops.stopped


def test_the_earliest_stop_string_wins() -> None:
    stops = StopStrings(("late", "early"))
    assert stops.push("so early and late") == "so "


def test_the_plain_format_for_models_without_a_template() -> None:
    turns = (
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
    )
    text, stop = plain_chat(turns)
    assert text == "Be kind.\n\nUser: Hi\nAssistant: Hello\nUser: Bye\nAssistant:"
    assert stop == ("\nUser:",)


def with_template(folder: Path, target: Path, template: str | None) -> Path:
    copy = shutil.copytree(folder, target)
    build_tokenizer(chat_template=template).save_pretrained(copy)
    if template is None:
        (copy / "chat_template.jinja").unlink(missing_ok=True)
    return copy


def test_a_model_without_a_template_chats_in_the_plain_format(
    tiny_llama: Path, tmp_path: Path
) -> None:
    engine = load(with_template(tiny_llama, tmp_path / "plain", None))
    sampling = Sampling(max_tokens=6, ignore_eos=True)
    plain = ask(engine, request(sampling, raw="User: Hi\nAssistant:"))
    assert ask(engine, request(sampling, messages=user("Hi"))).text == plain.text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('no system prompts here') }}", "no system prompts here"),
        ("{{ messages[9].content }}", "messages|list|index"),
        ("{{ messages[0]['content'] + 5 }}", "str"),
        ("{{ 1 / 0 }}", "zero"),
        ("{% for", "."),
    ],
)
def test_a_template_that_fails_is_an_error_in_words(
    template: str, reason: str, tiny_llama: Path, tmp_path: Path
) -> None:
    engine = load(with_template(tiny_llama, tmp_path / "broken", template))
    with pytest.raises(TemplateError, match=f"(?s)chat template.*{reason}"):
        ask(engine, request(messages=user("Hi")))
    assert ask(engine, request(raw="Hi")).tokens > 0, "a raw prompt still works"


def test_the_template_ends_where_the_answer_begins(tiny_llama: Path) -> None:
    engine = load(tiny_llama)
    sampling = Sampling(max_tokens=6, ignore_eos=True)
    chat = (Message("system", "Be kind."), Message("user", "Hi"))
    raw = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert (
        ask(engine, request(sampling, messages=chat)).text
        == ask(engine, request(sampling, raw=raw)).text
    )


def test_a_raw_prompt_follows_the_models_own_bos() -> None:
    tokenizer = build_tokenizer()
    plain = tokenizer("fox", add_special_tokens=False).input_ids
    assert with_bos(tokenizer, "fox") == plain
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    piece = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [piece, sequence, {"SpecialToken": {"id": "<|im_end|>", "type_id": 0}}],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for number, name in ((0, "<|endoftext|>"), (2, "<|im_end|>"))
        },
    }
    adding = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
    )
    assert adding("fox").input_ids == [0, *plain, 2]
    assert with_bos(adding, "fox") == [0, *plain], "its EOS would end the text"


def test_a_prompt_longer_than_the_window_says_both_numbers(tiny_llama: Path) -> None:
    engine = load(tiny_llama)
    with pytest.raises(ContextOverflow, match=r"3,000 tokens.*reads 1,024.*shorten"):
        ask(engine, request(prompt_ids=(7,) * 3000))
    assert ask(engine, request(prompt_ids=(7,) * 20)).tokens > 0


def test_an_answer_that_reaches_the_window_ends_there(tiny_llama: Path) -> None:
    engine = load(tiny_llama)
    sampling = Sampling(max_tokens=50, ignore_eos=True)
    said = ask(engine, request(sampling, prompt_ids=(7,) * (WINDOW - 9)))
    assert said.stats.finish_reason == "context"
    assert said.stats.output_tokens == 9


@pytest.mark.parametrize("ids", [(5, VOCABULARY), (-1,)])
def test_token_ids_outside_the_vocabulary_are_refused(
    ids: tuple[int, ...], tiny_llama: Path
) -> None:
    with pytest.raises(InvalidRequest, match=f"0 and {VOCABULARY - 1}"):
        ask(load(tiny_llama), request(prompt_ids=ids))
