"""What a model can be used for on the page, and what each use asks of the visitor."""

from __future__ import annotations

from dataclasses import dataclass

from slm_explorer.tasks import (
    MASK,
    MAX_TEXTS,
    AskContext,
    Classify,
    Compare,
    FillMask,
    Task,
    TaskInput,
)

CANDIDATES = 8
"""Words drawn for each mask; what comes after these has next to no probability."""

Prompt = str | TaskInput
"""What all lanes are asked: words to a model that writes, one input to an encoder."""

_WRITING = (
    "system", "recipe", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
    "max_tokens", "seed", "stop",
)  # fmt: skip


@dataclass(frozen=True)
class Use:
    """One use. `about` says in a sentence what its models do; `settings` are the fields of
    LaneSettings that mean something to them. `lines` is the writer's height: above 1, Enter
    breaks the line. `needs_context` asks for a text beside the question.
    """

    task: Task
    title: str
    about: str
    placeholder: str
    settings: tuple[str, ...]
    lines: int = 1
    needs_context: bool = False


USES: dict[Task, Use] = {
    use.task: use
    for use in (
        Use(
            "chat",
            "Chat",
            "Decoders go on writing from what was said before.",
            "One prompt to all lanes. Enter sends, Shift+Enter breaks the line, Esc stops.",
            _WRITING,
        ),
        Use(
            "text-to-text",
            "Text to text",
            "Encoder-decoders read one text and write another. Each prompt stands alone: "
            "nothing said before is read.",
            "An instruction, or a task prefix and a text. Enter sends, Esc stops.",
            _WRITING[1:],
        ),
        Use(
            "fill-mask",
            "Fill in",
            f"Encoders guess the word at each {MASK} from what stands on both sides of it.",
            f"A text with {MASK} where a word is missing. Enter sends, Esc stops.",
            ("recipe",),
        ),
        Use(
            "text-classification",
            "Classify",
            "Encoders with a trained head give a text one of the labels they were taught.",
            "A text to classify. Enter sends, Esc stops.",
            ("recipe",),
        ),
        Use(
            "sentence-similarity",
            "Compare sentences",
            "Encoders turn each text into a vector; texts that mean the same should lie close.",
            f"2 to {MAX_TEXTS} texts, one a line. Shift+Enter sends, Enter breaks the line.",
            ("recipe",),
            lines=4,
        ),
        Use(
            "question-answering",
            "Answer from a text",
            "Encoders with a trained head mark where in a text the answer stands; they write "
            "nothing of their own.",
            "A question about the text above. Enter sends, Esc stops.",
            ("recipe",),
            needs_context=True,
        ),
    )
}


def prompt_of(task: Task, text: str, context: str) -> Prompt:
    """What the writer holds, as one prompt. InvalidRequest says what is wrong with it."""
    match task:
        case "fill-mask":
            return FillMask(text, CANDIDATES)
        case "text-classification":
            return Classify(text)
        case "sentence-similarity":
            return Compare(tuple(line.strip() for line in text.splitlines() if line.strip()))
        case "question-answering":
            return AskContext(text, context)
        case _:
            return text


def writer_of(prompt: Prompt) -> tuple[str, str]:
    """The text and the context that `prompt_of` makes this prompt from."""
    match prompt:
        case FillMask(text) | Classify(text):
            return text, ""
        case Compare(texts):
            return "\n".join(texts), ""
        case AskContext(question, context):
            return question, context
        case _:
            return prompt, ""
