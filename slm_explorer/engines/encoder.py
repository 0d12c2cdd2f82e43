"""What encoders do: fill masks, classify, compare sentences, and mark answers in a text.

Each input is one forward pass without padding, so that a result never depends on what else was
asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from slm_explorer.engines.base import StopFlag
from slm_explorer.engines.checkpoint import LoadedModel
from slm_explorer.engines.memory import private_memory
from slm_explorer.errors import Cancelled, ContextOverflow, InvalidRequest, UnsupportedModel
from slm_explorer.tasks import (
    MASK,
    AskContext,
    Candidate,
    Classify,
    Compare,
    FillMask,
    Labels,
    MaskFills,
    SimilarityMatrix,
    Spans,
    Task,
    TaskRequest,
    TaskResult,
    TaskStats,
    task_of,
)
from slm_explorer.types import Done, Progress

# An extracted answer is a phrase: longer spans are a sign of two unsure ends.
_SPAN_TOKENS = 30
_SPANS = 3


def perform_task(
    loaded: LoadedModel, request: TaskRequest, stop: StopFlag
) -> Iterator[Progress | Done]:
    """Do the task and end with Done(TaskStats).

    Raises UnsupportedModel where the loaded head is for something else, ContextOverflow for a
    text longer than the model reads, Cancelled once `stop` is set.
    """
    task = task_of(request.input)
    if task not in loaded.info.tasks:
        raise UnsupportedModel(_not_for(loaded.info.tasks, task))
    if loaded.tokenizer is None:
        raise InvalidRequest("Random weights have no tokenizer, and so nothing to read.")
    if stop.is_set():
        raise Cancelled("The task was stopped.")
    started = perf_counter()
    reader = _Reader(loaded)
    match request.input:
        case FillMask(text, top):
            result: TaskResult = _fill(reader, text, top)
        case Classify(text):
            result = _classify(reader, text)
        case Compare(texts):
            vectors = []
            for number, text in enumerate(texts):
                if stop.is_set():
                    raise Cancelled("The task was stopped.")
                vectors.append(_vector(reader, text))
                yield Progress("reading", (number + 1) / len(texts))
            matrix = torch.stack(vectors) @ torch.stack(vectors).T
            rows = tuple(tuple(row) for row in matrix.clamp(-1, 1).tolist())
            result = SimilarityMatrix(rows, "mean of the last layer's token vectors")
        case AskContext(question, context):
            result = _answer(reader, question, context)
    seconds = perf_counter() - started
    memory = private_memory()
    yield Done(
        TaskStats(
            result,
            reader.tokens,
            seconds,
            loaded.info.warning,
            memory_bytes=memory.now,
            peak_memory_bytes=memory.peak,
        )
    )


def _not_for(tasks: tuple[Task, ...], task: Task) -> str:
    made_for = " and ".join(tasks)
    return f"This model is for {made_for}, not for {task}: choose that use, or another model."


class _Reader:
    """Turns texts into tensors, and counts the tokens that the model reads."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self._limit = loaded.context_length
        self.tokens = 0

    def read(self, *texts: str, **options: Any) -> Any:
        """The encoding of one text, or of a pair; its tensors have one row."""
        encoded = self.tokenizer(*texts, return_tensors="pt", verbose=False, **options)
        count = encoded["input_ids"].shape[1]
        if self._limit is not None and count > self._limit:
            raise ContextOverflow(
                f"The text has {count:,} tokens, and this model reads {self._limit:,}: shorten it."
            )
        self.tokens += count
        return encoded

    @torch.inference_mode()
    def run(self, encoded: Any, model: Any = None) -> Any:
        names = ("input_ids", "attention_mask", "token_type_ids")
        given = {name: encoded[name] for name in names if name in encoded}
        runs = self.model if model is None else model
        if "token_type_ids" in given and not getattr(runs.config, "type_vocab_size", 0):
            del given["token_type_ids"]
        return runs(**given)


def _fill(reader: _Reader, text: str, top: int) -> MaskFills:
    mask = reader.tokenizer.mask_token
    if mask is None:
        raise UnsupportedModel("This model's tokenizer has no mask token to put into the text.")
    encoded = reader.read(text.replace(MASK, mask))
    places = (encoded["input_ids"][0] == reader.tokenizer.mask_token_id).nonzero()[:, 0]
    logits: Tensor = reader.run(encoded).logits[0, places].float()
    best = logits.softmax(-1).topk(min(top, logits.shape[-1]))
    return MaskFills(
        tuple(
            tuple(
                Candidate(reader.tokenizer.decode([token]).strip(), probability)
                for token, probability in zip(tokens, probabilities, strict=True)
            )
            for tokens, probabilities in zip(
                best.indices.tolist(), best.values.tolist(), strict=True
            )
        )
    )


def _classify(reader: _Reader, text: str) -> Labels:
    config = reader.model.config
    if config.num_labels < 2 or config.problem_type == "regression":
        raise UnsupportedModel(
            "This model's head gives one number and no labels, so there are no probabilities."
        )
    logits: Tensor = reader.run(reader.read(text)).logits[0].float()
    independent = config.problem_type == "multi_label_classification"
    probabilities = (logits.sigmoid() if independent else logits.softmax(-1)).tolist()
    found = [
        Candidate(str(config.id2label.get(index, index)), probability)
        for index, probability in enumerate(probabilities)
    ]
    return Labels(tuple(sorted(found, key=lambda each: -each.probability)))


def _vector(reader: _Reader, text: str) -> Tensor:
    """The text's unit vector (hidden,): the mean over its tokens, special ones too, as sentence
    encoders are trained (Reimers and Gurevych 2019, arXiv 1908.10084).
    """
    hidden: Tensor = reader.run(reader.read(text), reader.model.base_model).last_hidden_state
    return torch.nn.functional.normalize(hidden[0].float().mean(0), dim=0)


def _answer(reader: _Reader, question: str, context: str) -> Spans:
    """The likeliest spans that do not overlap; a span's probability is that of its two ends."""
    if not reader.tokenizer.is_fast:
        raise UnsupportedModel(
            "This model's tokenizer does not tell which characters a token stands for, so an "
            "answer cannot be marked."
        )
    encoded = reader.read(question, context, return_offsets_mapping=True)
    output = reader.run(encoded)
    inside = torch.tensor([part == 1 for part in encoded.sequence_ids(0)])
    start = output.start_logits[0].float().masked_fill(~inside, -torch.inf).softmax(-1)
    end = output.end_logits[0].float().masked_fill(~inside, -torch.inf).softmax(-1)
    ends = torch.ones(len(start), len(start), dtype=torch.bool).triu().tril(_SPAN_TOKENS - 1)
    scores = (start[:, None] * end[None, :]) * ends
    offsets = encoded["offset_mapping"][0].tolist()
    spans: list[Candidate] = []
    ranges: list[tuple[int, int]] = []
    order = scores.flatten().topk(min(50, scores.numel()))
    for at, probability in zip(order.indices.tolist(), order.values.tolist(), strict=True):
        first, last = offsets[at // len(start)][0], offsets[at % len(start)][1]
        if last <= first or any(first < b and a < last for a, b in ranges):
            continue
        spans.append(Candidate(context[first:last], probability))
        ranges.append((first, last))
        if len(spans) == _SPANS:
            break
    return Spans(tuple(spans), tuple(ranges))
