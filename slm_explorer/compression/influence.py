"""How much each layer changes what passes through it, and a model without some of them.

Block influence (Men et al., ShortGPT, 2024): 1 - cosine between what enters a layer and what
leaves it, the mean over the tokens of a text. Layers with the least are missed least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from slm_explorer.compression.architectures import FAMILIES
from slm_explorer.compression.calibration import Cancel, loss_of, read
from slm_explorer.errors import InvalidRequest, UnsupportedModel

# Lists in a config.json that say something of every layer.
_PER_LAYER = ("layer_types", "mlp_layer_types", "no_rope_layers")
_WITHOUT_ATTENTION = ("conv", "linear_attention")

Tell = Callable[[float], None]


def blocks_of(model: Any) -> nn.ModuleList:
    """The layers of a decoder or an encoder, from the first to the last."""
    count = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UnsupportedModel(
        f"The {count} layers of this {model.config.model_type} model cannot be told apart: choose "
        "a storage recipe."
    )


def block_influence(
    model: Any, windows: Sequence[Tensor], tell: Tell, cancelled: Cancel
) -> list[float]:
    """Influence of each layer on the windows [1, tokens], 0 (changes nothing) to 2."""
    blocks = blocks_of(model)
    sums, tokens = [0.0] * len(blocks), 0
    entered: dict[int, Tensor] = {}

    def before(at: int) -> Callable[..., None]:
        def hook(_block: nn.Module, args: Any, kwargs: Any) -> None:
            entered[at] = _hidden(args, kwargs)

        return hook

    def behind(at: int) -> Callable[..., None]:
        def hook(_block: nn.Module, _args: Any, output: Any) -> None:
            left = output[0] if isinstance(output, tuple) else output
            cosine = F.cosine_similarity(entered.pop(at).float(), left.float(), dim=-1)
            sums[at] += float((1 - cosine).sum())

        return hook

    hooks = []
    for at, block in enumerate(blocks):
        hooks.append(block.register_forward_pre_hook(before(at), with_kwargs=True))
        hooks.append(block.register_forward_hook(behind(at)))
    try:
        for number, window in enumerate(windows):
            read(model, window, cancelled)
            tokens += window.numel()
            tell((number + 1) / len(windows))
    finally:
        for hook in hooks:
            hook.remove()
    return [total / tokens for total in sums]


def losses_without(
    model: Any, windows: Sequence[Tensor], tell: Tell, cancelled: Cancel
) -> list[float]:
    """The loss of a decoder in nats a token with each one of its layers left out in turn."""
    blocks = blocks_of(model)
    losses = []
    for at, block in enumerate(blocks):
        with _left_out(block):
            losses.append(loss_of(model, list(windows), cancelled))
        tell((at + 1) / len(blocks))
    return losses


@contextmanager
def _left_out(block: nn.Module) -> Iterator[None]:
    def hook(_block: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        hidden = _hidden(args, kwargs)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = block.register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _hidden(args: Any, kwargs: Any) -> Tensor:
    found: Tensor = args[0] if args else kwargs["hidden_states"]
    return found


def least_influential(influence: Sequence[float], count: int, config: Any) -> list[int]:
    """The `count` layers to leave out, in order. InvalidRequest where too few would stay.

    Of an architecture that mixes kinds of layers one with attention stays: the others keep no
    count of the tokens that were read.
    """
    kinds = getattr(config, "layer_types", None) or [""] * len(influence)
    attends = [at for at, kind in enumerate(kinds) if kind not in _WITHOUT_ATTENTION]
    order = sorted(range(len(influence)), key=lambda layer: influence[layer])
    stay = {0} if FAMILIES[config.model_type].keeps_first else set()
    if len(attends) < len(influence):
        stay.add(max(attends, key=lambda layer: influence[layer]))
    if count > len(influence) - max(1, len(stay)):
        layers = "1 layer" if len(influence) == 1 else f"{len(influence)} layers"
        raise InvalidRequest(
            f"The model has {layers}, and at least {max(1, len(stay))} must stay: drop fewer."
        )
    return sorted([layer for layer in order if layer not in stay][:count])


@torch.no_grad()
def drop_layers(model: Any, dropped: Sequence[int]) -> None:
    """Take layers out of the model, and out of what its configuration says of each layer."""
    blocks = blocks_of(model)
    kept = [at for at in range(len(blocks)) if at not in dropped]
    config = model.config
    for key in _PER_LAYER:
        said = getattr(config, key, None)
        if isinstance(said, list) and len(said) == len(blocks):
            setattr(config, key, [said[at] for at in kept])
    if config.model_type == "gpt_neo":
        config.attention_layers = [config.attention_layers[at] for at in kept]
        config.attention_types = [[[kind], 1] for kind in config.attention_layers]
    for at in sorted(dropped, reverse=True):
        del blocks[at]
    config.num_hidden_layers = len(kept)
