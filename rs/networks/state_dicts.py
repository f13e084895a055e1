"""Weights as the field saves them: the state dict in a checkpoint file, under the network's own names.

A checkpoint is a state dict or holds some, under "state_dict", "model", "net", "ema" or any other key, beside
an epoch, an optimizer, arguments. A single one is taken; if there are several, `key` says which. Torch files
are read with `weights_only=True`: no pickled code is run. Beside tensors and plain values only numpy's
numbers and argparse's namespaces are allowed, which hold values and run nothing.

A state dict states the version of each of its modules (`_metadata`); by it, modules rename, convert and
refuse what they load. The versions are kept, under the names that tensors get here. A file without the
version of a module (safetensors never have one) is taken to be of the network's own version, since its names
and shapes are.
"""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from rs.errors import UserError
from rs.networks.file_kinds import hint

State = dict[str, Tensor]
Versions = dict[str, dict[str, Any]]  # module name ("" is the network) -> a state dict's facts about it
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, torch.compile, Lightning and others
DEEPEST = 3  # most keys on the way to a state dict
_NUMBERS = [type(np.dtype(code)) for code in "?bBhHiIlLqQefd"]
_SCALAR = np.float64(0).__reduce__()[0]  # the function that pickles of numpy's numbers call
_HARMLESS: list[Any] = [argparse.Namespace, np.dtype, *_NUMBERS]
_HARMLESS += [(_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")]


@dataclass(frozen=True)
class Found:
    """A file's state dict, its key ("" for the file itself), and the value of `arch` beside it."""

    state: State
    key: str
    arch: str


def read(path: Path, key: str | None = None) -> Found:
    """The state dict in a torch file or safetensors file, under `key` if given (joined by dots).

    Raises UserError where there is none, where there are several and no key, or for pickled code.
    """
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    found = dict(_state_dicts(content))
    if key is not None and key in found:
        chosen = key
    elif key is not None:
        raise UserError(f"{path}: no state dict under key {key!r}; {_held(content, found)}")
    elif len(found) > 1:
        raise UserError(f"{path}: holds several state dicts; say which with key: {', '.join(found)}")
    elif not found:
        raise UserError(
            f"{path}: holds no state dict; {_held(content, found)}; save the network's state_dict()"
        )
    else:
        chosen = next(iter(found))
    arch = content.get("arch") if chosen else None
    return Found(found[chosen], chosen, arch[:60] if isinstance(arch, str) else "")


def _safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except Exception as error:  # safetensors and the operating system raise many kinds
        raise UserError(f"{path}: not a complete checkpoint ({_line(error)}){hint(path)}") from error


def _torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other archives, which are refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch's readers raise anything
        if "TorchScript" in str(error):
            held = "a TorchScript archive, which holds code that is never run"
            raise UserError(f"{path}: {held}; save the network's state_dict()") from error
        named = re.search(r"GLOBAL `?([\w.]+)|`?\b([\w.]+)`? was not an allowed global", str(error))
        if isinstance(error, pickle.UnpicklingError) and named:
            held = f"holds more than weights ({named[1] or named[2]}), or is cut off"
            advice = "save the network's state_dict() (pickled code is never run)"
            raise UserError(f"{path}: {held}; {advice}") from error
        has_reason = isinstance(error, (OSError, RuntimeError))  # of a missing file, or of a damaged archive
        reason = _line(error) if has_reason else "no checkpoint of torch, or cut off"
        raise UserError(f"{path}: not a complete checkpoint ({reason}){hint(path)}") from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _state_dicts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, State]]:
    """Every mapping from names to tensors only, with at least one matrix, and its key."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(k, str) for k in value):
        return  # numbers as names: an optimizer's state
    if all(isinstance(v, Tensor) for v in value.values()):
        if any(v.dim() > 1 for v in value.values()):
            yield ".".join(path), versioned(dict(value), versions_of(value))
    elif len(path) < DEEPEST:
        for key, inner in value.items():
            yield from _state_dicts(inner, (*path, key))


def _held(content: Any, found: Mapping[str, State]) -> str:
    """What a file holds instead of the requested state dict."""
    if found:
        return f"state dicts: {', '.join(key or '(the file itself: leave key out)' for key in found)}"
    if not isinstance(content, Mapping):
        return f"it is a {type(content).__name__}"
    keys = [str(key)[:40] for key in content]
    return f"its keys: {', '.join(keys[:12])}{', ...' * (len(keys) > 12)}" if keys else "it is empty"


def versioned(tensors: State, versions: Versions) -> State:
    """The tensors as a state dict that states these versions."""
    found = OrderedDict(tensors)
    found._metadata = OrderedDict(versions)  # type: ignore[attr-defined]
    return found


def versions_of(state: Any) -> Versions:
    """The versions that a state dict states; empty if it states none, or none as torch writes them."""
    metadata = getattr(state, "_metadata", None)
    known = metadata.items() if isinstance(metadata, Mapping) else ()
    return {
        name: dict(facts) for name, facts in known if isinstance(name, str) and isinstance(facts, Mapping)
    }


def below(state: State, prefix: str) -> State:
    """The entries of a state dict under a prefix that ends in a dot, by their names behind it."""
    module, versions = prefix[:-1], versions_of(state)
    own = {k.removeprefix(prefix): v for k, v in versions.items() if k.startswith(prefix)}
    own |= {"": versions[module]} if module in versions else {}
    return versioned({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, own)


def without_prefixes(state: State) -> State:
    """The state dict without each of PREFIXES with which all its names begin."""
    while state and (prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in state)), None)):
        state = below(state, prefix)
    return state


def without_shared(state: State) -> Iterator[State]:
    """The state dict as it is, and again without each first part that all its names share, as `net.`. Not
    without numbers: what stands before the network in a `Sequential`, as a normalisation, may lack weights.
    """
    yield state
    while len(heads := {name.partition(".")[:2] for name in state}) == 1:
        head, dot = heads.pop()
        if not dot or head.isdigit():
            return
        state = below(state, head + dot)
        yield state


def fitted(state: State, own: State) -> State:
    """`state` under the names of the network's own state dict, as far as dropping what all names begin with
    achieves that. In Lightning's checkpoints this is the name of the attribute that holds the network.

    Batch norm's `num_batches_tracked`, which old files lack and evaluation never reads, is filled in; so are
    versions of modules.
    """
    best = max(without_shared(state), key=lambda s: len(s.keys() & own.keys()))
    filled = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")} | dict(best)
    return versioned(filled, versions_of(own) | versions_of(best))


def is_cohens(state: State) -> bool:
    """Whether all names are those of `Sequential(norm, net)`."""
    plain = without_prefixes(state)
    return {k.partition(".")[0] for k in plain} in ({"1"}, {"0", "1"})


def from_cohen(path: Path, state: State) -> State:
    """Names without the `1.` of `Sequential(norm, net)`; `0.*`, of `norm`, is dropped."""
    plain = without_prefixes(state)
    if foreign := [k for k in plain if not k.startswith(("0.", "1."))]:
        raise UserError(
            f"{path}: not in Cohen's format: tensor {foreign[0]} does not begin with 1. (try plain)"
        )
    return below(plain, "1.")
