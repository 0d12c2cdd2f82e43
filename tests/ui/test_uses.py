"""What the writer holds becomes one input, and comes back from it as it was."""

from __future__ import annotations

import pytest

from slm_explorer.errors import InvalidRequest
from slm_explorer.tasks import AskContext, Classify, Compare, FillMask, Task
from slm_explorer.ui.conversation import MAX_CHAT_CHARS, Conversation, ask
from slm_explorer.ui.examples import examples
from slm_explorer.ui.lane_settings import FIELDS
from slm_explorer.ui.uses import CANDIDATES, USES, Prompt, prompt_of, writer_of


@pytest.mark.parametrize(
    ("use", "text", "context", "prompt"),
    [
        ("chat", " as it is ", "", " as it is "),
        ("text-to-text", "translate: x", "", "translate: x"),
        ("fill-mask", "a [MASK] c", "", FillMask("a [MASK] c", CANDIDATES)),
        ("text-classification", "good", "", Classify("good")),
        ("sentence-similarity", "one\n\n  two \n", "", Compare(("one", "two"))),
        ("question-answering", "Who?", "Mara did.", AskContext("Who?", "Mara did.")),
    ],
)
def test_every_use_reads_the_writer(use: Task, text: str, context: str, prompt: Prompt) -> None:
    assert prompt_of(use, text, context) == prompt
    assert prompt_of(use, *writer_of(prompt)) == prompt


@pytest.mark.parametrize(
    ("use", "text", "context", "sentence"),
    [
        ("fill-mask", "no mask here", "", r"Write \[MASK\]"),
        ("fill-mask", " ", "", "empty"),
        ("text-classification", "", "", "empty"),
        ("text-classification", "x" * 20_001, "", "shorten it"),
        ("sentence-similarity", "only one", "", "2 to 16"),
        ("sentence-similarity", "\n".join("abcdefghijklmnopq"), "", "2 to 16"),
        ("question-answering", "", "Mara did.", "question is empty"),
        ("question-answering", "Who?", "", "context is empty"),
        ("question-answering", "Who?", "x" * 20_001, "shorten it"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    use: Task, text: str, context: str, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        prompt_of(use, text, context)


def test_inputs_of_encoders_count_towards_the_chats_limit() -> None:
    prompts = [prompt_of("question-answering", "Who?", "x" * 19_000)] * 11
    assert MAX_CHAT_CHARS < 11 * 19_000
    with pytest.raises(InvalidRequest, match="characters"):
        ask(Conversation("key"), prompts)


@pytest.mark.parametrize("use", USES)
def test_every_example_is_an_input_of_its_use(use: Task) -> None:
    assert examples(use)
    for example in examples(use):
        for prompt in example.prompts:
            assert prompt_of(use, *writer_of(prompt)) == prompt
    assert set(USES[use].settings) <= set(FIELDS)
