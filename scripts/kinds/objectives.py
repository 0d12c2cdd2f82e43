"""What each model learns: the loss of one step, and how many tokens it read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div, log_softmax, normalize
from transformers import BertForMaskedLM, BertForSequenceClassification, PreTrainedTokenizerFast

from .batches import Masked, judgements, masked_texts, rewritings, scenes
from .models import classifier, masked_lm, sentence_encoder, take_body, text_to_text
from .tokenizer import IGNORED

TEMPERATURE = 2.0
# The shares of DistilBERT's three losses (Sanh et al. 2019, arXiv 1910.01108, its training code).
SOFT_TARGETS, MASKED_WORDS, ALIGNMENT = 5.0, 2.0, 1.0
CONTRAST_TEMPERATURE = 0.05

Loss = Callable[[int], tuple[Tensor, int]]


@dataclass(frozen=True, slots=True)
class Learner:
    """A model, and its loss at a step: a tensor to go back from, and the tokens that were read."""

    model: nn.Module
    loss: Loss


def _hidden(model: BertForMaskedLM, batch: Masked) -> Tensor:
    """The last layer's vectors (texts, longest, width)."""
    hidden: Tensor = model.bert(batch.inputs, attention_mask=batch.attention).last_hidden_state
    return hidden


def _masked_logits(model: BertForMaskedLM, hidden: Tensor, chosen: Tensor) -> Tensor:
    """The predictions (masked tokens, vocabulary) where the text was masked, and nowhere else."""
    logits: Tensor = model.cls(hidden[chosen])
    return logits.float()


def masked_language(tokenizer: PreTrainedTokenizerFast) -> Learner:
    """Fill in what was masked."""
    model = masked_lm()

    def loss(step: int) -> tuple[Tensor, int]:
        batches = masked_texts(tokenizer, step)
        parts, targets = [], []
        for batch in batches:
            chosen = batch.targets != IGNORED
            parts.append(_masked_logits(model, _hidden(model, batch), chosen))
            targets.append(batch.targets[chosen])
        total = cross_entropy(torch.cat(parts), torch.cat(targets))
        return total, sum(batch.tokens for batch in batches)

    return Learner(model, loss)


def soft_targets(student: Tensor, teacher: Tensor) -> Tensor:
    """The divergence from the teacher's predictions, both softened (Hinton et al. 2015).

    student, teacher: (rows, classes) logits. Times the squared temperature, so that its gradients
    are as large as those of the hard loss.
    """
    return (
        kl_div(
            log_softmax(student / TEMPERATURE, -1),
            log_softmax(teacher / TEMPERATURE, -1),
            reduction="batchmean",
            log_target=True,
        )
        * TEMPERATURE**2
    )


def distilled_language(
    tokenizer: PreTrainedTokenizerFast, teacher: BertForMaskedLM, layers: int
) -> Learner:
    """DistilBERT's three losses: soft targets, masked words, and the direction of hidden states."""
    model = masked_lm(layers)
    take_body(model, teacher)
    model.cls.predictions.transform.load_state_dict(teacher.cls.predictions.transform.state_dict())

    def loss(step: int) -> tuple[Tensor, int]:
        batches = masked_texts(tokenizer, step)
        ours, theirs, targets, aligned = [], [], [], []
        for batch in batches:
            chosen, real = batch.targets != IGNORED, batch.attention.bool()
            hidden = _hidden(model, batch)
            with torch.no_grad():
                taught = _hidden(teacher, batch)
                theirs.append(_masked_logits(teacher, taught, chosen))
            ours.append(_masked_logits(model, hidden, chosen))
            targets.append(batch.targets[chosen])
            aligned.append(cosine_similarity(hidden[real].float(), taught[real].float(), dim=-1))
        logits = torch.cat(ours)
        total = (
            SOFT_TARGETS * soft_targets(logits, torch.cat(theirs))
            + MASKED_WORDS * cross_entropy(logits, torch.cat(targets))
            + ALIGNMENT * (1 - torch.cat(aligned)).mean()
        )
        return total, sum(batch.tokens for batch in batches)

    return Learner(model, loss)


def sentiment(
    tokenizer: PreTrainedTokenizerFast,
    start: BertForMaskedLM,
    layers: int,
    teacher: BertForSequenceClassification | None = None,
) -> Learner:
    """Tell for from against; with a teacher, half of the loss is to predict what it predicts."""
    model = classifier(layers)
    take_body(model, start)

    def loss(step: int) -> tuple[Tensor, int]:
        batch, labels = judgements(tokenizer, step)
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
        total = cross_entropy(logits, labels)
        if teacher is not None:
            with torch.no_grad():
                taught = teacher(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            total = (total + soft_targets(logits, taught.float())) / 2
        return total, int(batch["attention_mask"].sum())

    return Learner(model, loss)


def mean_vectors(hidden: Tensor, attention: Tensor) -> Tensor:
    """Unit vectors (texts, width): the mean over each text's tokens, special ones too.

    hidden: (texts, longest, width); attention: (texts, longest). As sentence encoders have it
    (Reimers and Gurevych 2019, arXiv 1908.10084).
    """
    weights = attention[..., None].float()
    return normalize((hidden.float() * weights).sum(1) / weights.sum(1), dim=-1)


def similarity(tokenizer: PreTrainedTokenizerFast, start: BertForMaskedLM) -> Learner:
    """Find each scene's other telling among all others of the batch and its own changed ones.

    The loss is InfoNCE over cosines (van den Oord et al. 2018, arXiv 1807.03748; with hard
    negatives as in SimCSE, Gao et al. 2021, arXiv 2104.08821).
    """
    model = sentence_encoder()
    take_body(model, start)

    def loss(step: int) -> tuple[Tensor, int]:
        batch = scenes(tokenizer, step)
        attention = batch["attention_mask"]
        hidden = model(batch["input_ids"], attention_mask=attention).last_hidden_state
        vectors = mean_vectors(hidden, attention)
        pairs = len(vectors) // 4  # a telling, another, and two changed scenes for each
        told, others = vectors[:pairs], vectors[pairs:]
        cosines = told @ others.T / CONTRAST_TEMPERATURE
        return cross_entropy(cosines, torch.arange(pairs)), int(attention.sum())

    return Learner(model, loss)


def text_in_text_out(tokenizer: PreTrainedTokenizerFast) -> Learner:
    """Write the target, piece by piece."""
    model = text_to_text()

    def loss(step: int) -> tuple[Tensor, int]:
        tokens = 0
        logits, targets = [], []
        for batch, target in rewritings(tokenizer, step):
            written = target != IGNORED
            output = model(
                batch["input_ids"], attention_mask=batch["attention_mask"], labels=target
            )
            logits.append(output.logits[written].float())
            targets.append(target[written])
            tokens += int(batch["attention_mask"].sum()) + int(written.sum())
        return cross_entropy(torch.cat(logits), torch.cat(targets)), tokens

    return Learner(model, loss)


def trained(model: nn.Module, checkpoint: Path) -> nn.Module:
    """The model with the weights of a training's checkpoint, to learn from and not to change."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    model.load_state_dict(state)
    model.eval().requires_grad_(False)
    return model
