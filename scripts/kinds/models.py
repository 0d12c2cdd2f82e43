"""The architectures, as transformers has them, and the student that starts as half its teacher."""

from __future__ import annotations

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    T5Config,
    T5ForConditionalGeneration,
)

from .sentiment import LABELS
from .tokenizer import POSITIONS, VOCABULARY

LAYERS, STUDENT_LAYERS = 6, 3


def encoder_config(layers: int = LAYERS) -> BertConfig:
    """BERT (Devlin et al. 2018, arXiv 1810.04805), narrow: width 128, 4 heads, MLP 384."""
    return BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=POSITIONS,
        hidden_dropout_prob=0.0,  # text is never seen twice, so there is nothing to overfit
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )


def text_to_text_config() -> T5Config:
    """T5 (Raffel et al. 2019, arXiv 1910.10683), narrow: width 128, 4 heads, MLP 384."""
    return T5Config(
        vocab_size=VOCABULARY,
        d_model=128,
        d_kv=32,
        d_ff=384,
        num_layers=4,
        num_decoder_layers=4,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        n_positions=POSITIONS,
    )


def masked_lm(layers: int = LAYERS) -> BertForMaskedLM:
    """BERT whose position table starts as sinusoids and is learnt from there."""
    model = BertForMaskedLM(encoder_config(layers))
    table = model.bert.embeddings.position_embeddings.weight
    waves = sinusoids(*table.shape)
    with torch.no_grad():
        table.copy_(waves * model.config.initializer_range / waves.square().mean().sqrt())
    return model


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """The table (positions, width) of Vaswani et al. 2017 (arXiv 1706.03762).

    A step along it is a rotation, so attending to the piece before is one linear map away; from
    random positions a model this small is slow to learn that.
    """
    rates = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def classifier(layers: int = LAYERS) -> BertForSequenceClassification:
    return BertForSequenceClassification(encoder_config(layers))


def sentence_encoder(layers: int = LAYERS) -> BertModel:
    return BertModel(encoder_config(layers))


def text_to_text() -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration(text_to_text_config())


def body(model: nn.Module) -> BertModel:
    """The encoder inside a model with a head."""
    found = model if isinstance(model, BertModel) else model.bert
    assert isinstance(found, BertModel)
    return found


@torch.no_grad()
def take_body(student: nn.Module, teacher: nn.Module) -> None:
    """Start the student's body from the teacher's: all of it, or every other layer of it.

    With half the layers it takes layers 0, 2, 4, as DistilBERT does (Sanh et al. 2019, arXiv
    1910.01108). The embeddings are taken whole.
    """
    into, out_of = body(student), body(teacher)
    into.embeddings.load_state_dict(out_of.embeddings.state_dict())
    stride = len(out_of.encoder.layer) // len(into.encoder.layer)
    for number, layer in enumerate(into.encoder.layer):
        layer.load_state_dict(out_of.encoder.layer[number * stride].state_dict())
