"""Loads the weights of a local file into a network of a library."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from rs.errors import UserError, plural
from rs.foreign.recognised import check_weights
from rs.foreign.sources import Request
from rs.networks import state_dicts
from rs.networks.transformations import one_line
from rs.provenance.reading import WEIGHTS, check_file


def state_of(request: Request) -> state_dicts.State:
    """The state dict in the file of `--weights`. Raises UserError for a file that holds none."""
    assert request.weights is not None
    check_weights(request.weights)
    check_file(request.weights, WEIGHTS)
    return state_dicts.read(request.weights, request.key).state


def fill(network: nn.Module, state: state_dicts.State, request: Request) -> nn.Module:
    """Loads `state`, of `--weights`, into the network. Raises UserError where it does not fit completely."""
    weights = state_dicts.fitted(state, network.state_dict())
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    other = [k for k in own.keys() & weights.keys() if own[k].shape != weights[k].shape]
    place = f"{request.weights}: not the weights of {request.title}"
    if missing or foreign:
        problem = f"lacks {missing[0]}" if missing else f"has {foreign[0]}, which that has not"
        raise UserError(f"{place}: {problem} ({len(missing)} missing, {len(foreign)} of others)")
    if other:
        shapes = f"{list(weights[other[0]].shape)}, there {list(own[other[0]].shape)}"
        raise UserError(f"{place}: {other[0]} is {shapes}{_channels(weights[other[0]], own[other[0]])}")
    try:
        network.load_state_dict(weights)
    except Exception as error:  # modules convert entries of older files, and each fails in its own way
        raise UserError(f"{place}: {one_line(error)}") from error
    return network


def _channels(theirs: Tensor, own: Tensor) -> str:
    """The end of a line about a first convolution for another number of channels; empty for other weights."""
    if theirs.dim() != 4 or own.dim() != 4 or own.shape[1] != 3 or theirs.shape[2:] != own.shape[2:]:
        return ""
    network = f"a network for images of {plural(theirs.shape[1], 'channel')}"
    return f"; they are of {network}: build it in a function of yours, --model entry:MODULE:FUNCTION"


def classes_in(state: state_dicts.State, build: Callable[[int], nn.Module], default: int) -> int:
    """The number of classes of the weights. If their shapes differ from those of an architecture with
    `default` classes only in that number, as in its last layer, this is theirs; else `default`.
    """
    own = build(default).state_dict()
    weights = state_dicts.fitted(state, own)
    apart = [k for k in own.keys() & weights.keys() if own[k].shape != weights[k].shape]
    first = {(len(own[k]), len(weights[k])) for k in apart if own[k].dim() and weights[k].dim()}
    if len(first) == 1 and (pair := next(iter(first)))[0] == default:
        return pair[1]
    return default
