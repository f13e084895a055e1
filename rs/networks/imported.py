"""Networks that others trained: built from a Python entry point or an architecture of ours, and wrapped.

`module:function` names a function without arguments that returns the network, importable from the working
directory. It is the user's own code, and it is executed. Normalisation is always the first layer, as in our
models.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from torch import nn

from rs.errors import UserError
from rs.methods import catalog
from rs.methods.models.layers import Normalization, first_layer


def build(imported: dict[str, Any], data_manifest: dict[str, Any]) -> nn.Module:
    """A module of [B, C, H, W] in [0, 1] -> logits: `Sequential(normalisation, net...)`.

    `imported` holds `entry` or `architecture`, and `normalization`: none, center, standardize (the data set's
    constants), {mean, std}, or null for the architecture's default.
    """
    normalization, mean, std = imported.get("normalization"), data_manifest["mean"], data_manifest["std"]
    kind: Normalization | None = "standardize" if isinstance(normalization, dict) else normalization
    if isinstance(normalization, dict):
        mean, std = normalization["mean"], normalization["std"]
    channels = data_manifest["shape"][0]
    if not len(mean) == len(std) == channels:
        raise UserError(f"normalization: {len(mean)} means and {len(std)} stds for {channels} channels")
    if "entry" in imported:
        return nn.Sequential(first_layer(kind or "none", mean, std), call(imported["entry"]))
    method = dict(imported["architecture"]) | ({"normalization": kind} if kind else {})
    shape, classes = tuple(data_manifest["shape"]), data_manifest["classes"]
    built: nn.Module = catalog.build("models", method).build(shape, classes, mean, std)
    return built


def net_of(model: nn.Module) -> nn.Module:
    """The network behind the normalisation. Raises UserError where a plug-in's architecture is not of these
    two.
    """
    if not isinstance(model, nn.Sequential):
        built = f"architecture builds a {type(model).__name__}, not nn.Sequential(normalisation, network)"
        raise UserError(f"{built}, as format cohen needs; allowed: format plain")
    rest = list(model)[1:]
    return rest[0] if len(rest) == 1 else nn.Sequential(*rest)


def call(entry: str) -> nn.Module:
    """The network that the entry point returns. Raises UserError where there is none."""
    module, _, name = entry.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise UserError(
            f"entry {entry}: no module {error.name} in the working directory or installed"
            f"{'; leave .py out: MODULE:FUNCTION' * module.endswith('.py')}"
        ) from error
    except AttributeError as error:
        raise UserError(f"entry {entry}: {module} has no {name}") from error
    except Exception as error:  # the user's module may raise anything at import
        raise UserError(f"entry {entry}: importing {module} failed: {_line(error)}") from error
    try:
        network = found()
    except Exception as error:
        raise UserError(
            f"entry {entry}: calling it without arguments failed: {_line(error)}{_uncalled(found)}"
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"entry {entry}: returned a {type(network).__name__}, not an nn.Module{_not(network)}"
        )
    return network


def _uncalled(named: Any) -> str:
    """What to name instead of something that is no function without arguments."""
    if isinstance(named, nn.Module):
        return "; it is a network itself: name a function that returns it"
    return "; name a function that needs no arguments and calls it" if isinstance(named, type) else ""


def _not(result: Any) -> str:
    """What the function should return instead."""
    if result is None:
        return "; does it end with `return`?"
    if isinstance(result, type):
        return "; return an object of this class"
    if isinstance(result, Mapping):
        return "; load these weights into the network and return that"
    return "; call it in the forward of a module and return that" if callable(result) else ""


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
