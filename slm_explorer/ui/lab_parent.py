"""What the Lab tab knows of a parent from its config and its files' headers."""

from __future__ import annotations

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.catalog.safetensors import read_header
from slm_explorer.compression.recipes import parse_recipe
from slm_explorer.errors import SlmError
from slm_explorer.lab.types import Order
from slm_explorer.services import Services
from slm_explorer.ui.lab_build import Parent


def parent_of(services: Services, model: str) -> Parent:
    """Raises SlmError where there is no such checkpoint."""
    facts = inspect_checkpoint(services.chat.resolve(model).path)
    return Parent(facts.config, facts.num_layers, facts.weights_bytes)


def expected_matrices(services: Services, order: Order) -> tuple[str, ...]:
    """The matrices that a run will come to, where it packs the parent's own and no other step
    changes them before; else none.
    """
    try:
        steps = parse_recipe(order.recipe)
        if any(step.recipe.storage not in ("int8", "int4") for step in steps):
            return ()
        path = services.chat.resolve(order.model).path
        files = inspect_checkpoint(path).files
        tensors = [tensor for file in files for tensor in read_header(path / file)]
    except SlmError:
        return ()
    return tuple(each.name for each in tensors if len(each.shape) == 2 and each.floating)
