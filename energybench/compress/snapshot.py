"""Going back: a model's structure and modes, saved before something changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Snapshot:
    """The classes and attributes of all modules of a model, to go back to.

    Tensors are held and not copied: what puts new ones in their place is undone, what writes into them is undone only
    with `values`, which takes a copy of all.
    """

    def __init__(self, model: nn.Module, *, values: bool = False) -> None:
        self._saved = [
            (
                module,
                type(module),
                {name: dict(value) if isinstance(value, dict) else value for name, value in vars(module).items()},
            )
            for module in model.modules()
        ]
        self._parameters = [(parameter, parameter.data, parameter.requires_grad) for parameter in model.parameters()]
        tensors = (*model.parameters(), *model.buffers()) if values else ()
        self._values = [(tensor.data, tensor.detach().clone()) for tensor in tensors]

    def restore(self) -> None:
        """Give every module the class, attributes and tensors that it had; attributes added since go."""
        for module, kind, attributes in self._saved:
            module.__class__ = kind
            for name in vars(module).keys() - attributes.keys():
                del vars(module)[name]
            for name, value in attributes.items():
                current = vars(module).get(name)
                if isinstance(value, dict) and isinstance(current, dict):
                    current.clear()
                    current.update(value)
                else:
                    vars(module)[name] = value
        for parameter, data, trains in self._parameters:
            parameter.data = data
            parameter.requires_grad_(trains)
        for data, value in self._values:
            data.copy_(value)


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Every module is in the mode it was in, training or evaluation, when this ends."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module's mode is put back."""
    with kept_modes(model), torch.no_grad():
        model.eval()
        yield
