"""The two models of a training, loaded and checked to be of one kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GenerationConfig

from slm_explorer.compression.training_budget import fast_bf16
from slm_explorer.engines.checkpoint import LoadedModel, load_model
from slm_explorer.errors import InvalidRequest, UnsupportedModel
from slm_explorer.types import ModelSpec


@dataclass(frozen=True)
class Pair:
    """Student in float32 and its parent. `encoder`: they fill in masked words; `cosine`: their
    hidden states can be compared.
    """

    student: LoadedModel
    parent: LoadedModel
    encoder: bool
    cosine: bool


def load_pair(parent: Path, student: Path) -> Pair:
    """Both checkpoints. Raises UnsupportedModel for a kind that cannot be trained, InvalidRequest
    where their vocabularies differ, and what load_model raises.
    """
    pupil = _loaded(student, "f32")
    teacher = _loaded(parent, "bf16" if fast_bf16() else "f32")
    tasks = pupil.info.tasks
    if not {"chat", "fill-mask"} & set(tasks):
        raise UnsupportedModel(
            f"{parent.name} is for {' and '.join(tasks)}: training works on decoders, and on "
            "encoders with a masked-language head."
        )
    if pupil.info.vocab_size != teacher.info.vocab_size:
        raise InvalidRequest(
            "The student has another vocabulary than its parent: distillation compares them token "
            "by token."
        )
    encoder = "fill-mask" in tasks
    if encoder and (teacher.tokenizer is None or teacher.tokenizer.mask_token_id is None):
        raise UnsupportedModel(
            f"The tokenizer of {parent.name} has no mask token, so it cannot be trained to fill "
            "in words: choose another model."
        )
    same_width = pupil.model.config.hidden_size == teacher.model.config.hidden_size
    return Pair(pupil, teacher, encoder, encoder and same_width)


def _loaded(folder: Path, recipe: str) -> LoadedModel:
    spec = ModelSpec(
        model=folder.name, path=str(folder), recipe=recipe, threads=torch.get_num_threads()
    )
    loaded = load_model(spec, lambda _fraction, _stage: None)
    # What it writes is decided here; the checkpoint's defaults must not fill in the rest.
    loaded.model.generation_config = GenerationConfig()
    return loaded
