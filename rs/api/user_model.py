"""The caller's model: a module is copied once, any other callable is used as it is.

A function refers to its networks and does not hold them, so no copy of them can be made. They are found when
they are called: whether a variable, an attribute or a global of the function names them does not matter.
"""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rs.errors import UserError
from rs.networks.audit import ASSUMED
from rs.networks.transformations import SPEED_ALONE

MODE = "a network inside a function keeps its mode: call its eval()"


class Called(nn.Module):
    """Any callable as a module, and what the networks were like that it called in its last `watched` pass."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self._parts: list[tuple[type, bool]] = []  # kind and mode of each module
        self._weights: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)

    def __deepcopy__(self, memo: dict[int, Any]) -> Called:
        return self

    @contextlib.contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Notes the networks that a pass inside calls. Raises UserError for one in training mode whose
        buffers change in the pass, as batch norm's do: it gets the earlier ones back.
        """
        networks, known, thread = list[nn.Module](), {id(self)}, threading.get_ident()
        before: list[tuple[nn.Module, str, Tensor, Tensor]] = []  # its module, name, itself and its values

        def note(module: nn.Module, _: Any) -> None:
            if threading.get_ident() != thread or id(module) in known:
                return
            networks.append(module)
            known.update(map(id, module.modules()))
            for part in module.modules():
                if part.training:
                    of_part = part.named_buffers(recurse=False)
                    before.extend((part, key, b, b.detach().clone()) for key, b in of_part if plain(b))

        hook = nn.modules.module.register_module_forward_pre_hook(note)
        try:
            yield
        finally:
            hook.remove()
            altered = [item[0] for item in before if _restored(*item)]
        if altered:
            mode = f"a {type(altered[0]).__name__} is in training mode, where each pass changes it"
            raise UserError(f"{name}: {mode}; {ASSUMED}; {MODE}")
        self._parts = [(type(part), part.training) for network in networks for part in network.modules()]
        self._weights = {place: value.clone() for place, value in weights(*networks).items()}

    @torch.no_grad()
    def changed(self, images: Tensor, name: str) -> bool:
        """Whether it calls other networks than in the last watched pass, or the same ones with other weights
        or in another mode. Raises UserError as `watched` does.
        """
        parts, before = self._parts, self._weights
        try:
            with self.watched(name):
                self(images.clone())
        except UserError:
            raise
        except Exception:  # a user's function may raise anything, of which the audit makes a line
            return True
        return parts != self._parts or differ(before, self._weights)


def check_unchanged(model: nn.Module, copy: nn.Module, place: str) -> None:
    """Raises UserError where the caller's module no longer has the weights of its copy."""
    if differ(weights(copy), weights(model)):
        advice = "call rs.smooth again (or give it copy.deepcopy(model), to keep what the network was)"
        raise UserError(f"{place}: the network has changed since rs.smooth copied it; {advice}")


def weights(*networks: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their places, without those that cannot be compared."""
    named = ((i, chain(net.named_parameters(), net.named_buffers())) for i, net in enumerate(networks))
    return {f"{i}.{key}": value.detach() for i, of in named for key, value in of if plain(value)}


def plain(weight: Tensor) -> bool:
    """Whether a weight has values that lie in memory as they are: not sparse, quantised or still to come."""
    return not is_lazy(weight) and weight.layout == torch.strided and not weight.is_quantized


def differ(before: dict[str, Tensor], now: dict[str, Tensor]) -> bool:
    """Whether a weight of `before` is gone or has other bits: `_version` does not count changes of `.data`.
    What a network adds later, such as a buffer that it computes when first called, is no difference.
    """
    return any(place not in now or not _equal(value, now[place]) for place, value in before.items())


@contextlib.contextmanager
def without_advice(network: nn.Module) -> Iterator[None]:
    """No warnings that a network stays as it is inside where it is a function: no caller can change that."""
    with warnings.catch_warnings():
        if isinstance(network, Called):
            warnings.filterwarnings("ignore", f"(?s).*{re.escape(SPEED_ALONE)}$", RuntimeWarning)
        yield


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype or other.is_meta:
        return False
    sides = (t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other.to(one.device)))
    return torch.equal(*sides)


def _restored(module: nn.Module, key: str, buffer: Tensor, values: Tensor) -> bool:
    """Whether the buffer had changed; it then is what it was."""
    rebound = dict(module.named_buffers(recurse=False)).get(key) is not buffer
    if not rebound and _equal(values, buffer.detach()):
        return False
    with torch.no_grad():
        buffer.copy_(values)
    if rebound:
        setattr(module, key, buffer)
    return True
