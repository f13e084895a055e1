"""Loads the weights of a local file into a network of a library."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from rs.errors import UserError
from rs.foreign.sources import Asked
from rs.networks import state_dicts
from rs.networks.transformations import one_line
from rs.provenance.reading import WEIGHTS, check_file


def state_of(wanted: Asked) -> state_dicts.State:
    """The state dict in the file of `--weights`. Raises UserError for a file that holds none."""
    assert wanted.weights is not None
    check_file(wanted.weights, WEIGHTS)
    return state_dicts.read(wanted.weights, wanted.key).state


def fill(network: nn.Module, state: state_dicts.State, wanted: Asked) -> nn.Module:
    """Loads `state`, of `--weights`, into the network. Raises UserError where it does not fit completely."""
    given = state_dicts.fitted(state, network.state_dict())
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    other = [k for k in own.keys() & given.keys() if own[k].shape != given[k].shape]
    place = f"{wanted.weights}: not the weights of {wanted.title}"
    if missing or foreign:
        told = f"lacks {missing[0]}" if missing else f"has {foreign[0]}, which that has not"
        raise UserError(f"{place}: {told} ({len(missing)} missing, {len(foreign)} of others)")
    if other:
        shapes = f"{list(given[other[0]].shape)}, there {list(own[other[0]].shape)}"
        raise UserError(f"{place}: {other[0]} is {shapes}")
    try:
        network.load_state_dict(given)
    except Exception as error:  # modules convert entries of older files, and each fails in its own way
        raise UserError(f"{place}: {one_line(error)}") from error
    return network


def classes_in(state: state_dicts.State, build: Callable[[int], nn.Module], default: int) -> int:
    """The number of classes of the weights. If their shapes differ from those of an architecture with
    `default` classes only in that number, as in its last layer, this is theirs; else `default`.
    """
    own = build(default).state_dict()
    given = state_dicts.fitted(state, own)
    apart = [k for k in own.keys() & given.keys() if own[k].shape != given[k].shape]
    first = {(len(own[k]), len(given[k])) for k in apart if own[k].dim() and given[k].dim()}
    if len(first) == 1 and (pair := next(iter(first)))[0] == default:
        return pair[1]
    return default
