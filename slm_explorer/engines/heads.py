"""Which class of transformers a checkpoint is loaded as, and what it can then be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
)

from slm_explorer.errors import UnsupportedModel
from slm_explorer.tasks import Task, tasks_of
from slm_explorer.types import ModelInfo

_DECODES = ("ForCausalLM", "LMHeadModel", "ModelWithLMHead")
_BY_TASK: dict[Task, Mapping[Any, Any]] = {
    "fill-mask": MODEL_FOR_MASKED_LM_MAPPING,
    "text-classification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "question-answering": MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    "sentence-similarity": MODEL_MAPPING,
}
_HEADS: dict[Task, str] = {
    "fill-mask": "masked-language",
    "text-classification": "classification",
    "question-answering": "question-answering",
}

CANNOT_SCORE = (
    "Bits per byte are measured on models that read a text from left to right; this one does "
    "not: choose a decoder."
)


@dataclass(frozen=True)
class Head:
    """What to build, and from which configuration: of a model that also sees or hears, the part
    that writes. `warning` is set where the head's weights cannot come from the checkpoint.
    """

    model_class: Any
    config: PretrainedConfig
    tasks: tuple[Task, ...]
    warning: str | None = None


def choose_head(config: PretrainedConfig, task: Task | None, name: str) -> Head:
    """The class for this configuration and task; None is what the checkpoint was made for.

    Encoders are in transformers' map of causal models too (BERT can be wired as a decoder), so
    what the checkpoint says of itself decides. Raises UnsupportedModel, with what the model is
    for, where no class does the task.
    """
    kind = type(config)
    declared = (config.architectures or [None])[0]
    if config.is_encoder_decoder and kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        head = Head(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING[kind], config, ("text-to-text",))
    elif kind not in MODEL_FOR_MASKED_LM_MAPPING or str(declared).endswith(_DECODES):
        head = _decoder(config, declared, name)
    else:
        return _encoder(config, declared, task, name)
    if task is not None and task not in head.tasks:
        raise UnsupportedModel(
            f"{name} is for {head.tasks[0]}, not for {task}: choose a model made for that."
        )
    return head


def cannot_write(info: ModelInfo) -> str:
    """Why an encoder does not chat, and what it is for instead."""
    return (
        "This model is an encoder: it reads text and writes none. It is for "
        f"{' and '.join(info.tasks)}; choose that use, or a decoder to chat with."
    )


def _decoder(config: PretrainedConfig, declared: str | None, name: str) -> Head:
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnsupportedModel(
            f"{name} is a {config.model_type!r} model, which neither writes text nor reads it for "
            "a task of this app: choose another model."
        )
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    known = [*_DECODES, model_class.__name__]
    part = config.get_text_config()
    if not isinstance(config, model_class.config_class) and isinstance(
        part, model_class.config_class
    ):
        # The whole model's word counts: its parts are written with the defaults.
        part.tie_word_embeddings |= config.tie_word_embeddings
        known.append("ForConditionalGeneration")
        config = part
    if declared is not None and not declared.endswith(tuple(known)):
        raise UnsupportedModel(
            f"{name} is a {declared}, not a language model that generates text: choose a decoder."
        )
    return Head(model_class, config, ("chat",))


def _encoder(config: PretrainedConfig, declared: str | None, task: Task | None, name: str) -> Head:
    kind = type(config)
    made_for = tasks_of("encoder", declared)
    wanted = task or made_for[0]
    if wanted not in _BY_TASK:
        raise UnsupportedModel(
            f"{name} is an encoder: it reads text and writes none. It is for "
            f"{' and '.join(made_for)}; choose that use, or a decoder."
        )
    if kind not in _BY_TASK[wanted]:
        raise UnsupportedModel(f"transformers has no {wanted} head for {config.model_type!r}.")
    if wanted in made_for:
        return Head(_BY_TASK[made_for[0]][kind], config, made_for)
    if wanted == "sentence-similarity":
        return Head(MODEL_MAPPING[kind], config, (wanted,))
    return Head(
        _BY_TASK[wanted][kind],
        config,
        (wanted,),
        f"The {_HEADS[wanted]} head of {name} is not trained: its weights are random, and so is "
        "what it says. Take a checkpoint that was fine-tuned for this task.",
    )
