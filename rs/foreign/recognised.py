"""What lies where a model was expected is recognised, and the line names the option of `certify` that takes
it.
"""

from __future__ import annotations

from pathlib import Path

from rs.errors import UserError, plural
from rs.networks import state_dicts
from rs.networks.file_kinds import OWN, recognised


def refuse(option: str, path: Path) -> None:
    """Raises UserError where what lies at `path`, which `option` names and does not take, is recognised."""
    held = recognised(path)
    if held is not None:
        what, how = _of_weights(path) if held.weights else (held.what, held.how)
        raise UserError(f"certify: {option}: {what}; {how}")


def check_weights(path: Path) -> None:
    """Raises UserError for a file or folder that is recognised and holds no weights of torch."""
    held = recognised(path)
    if held is not None and not held.weights:
        raise UserError(f"{path}: {held.what}; {held.how}")


def _of_weights(path: Path) -> tuple[str, str]:
    """What a file of torch or safetensors holds, and how to give it where a network is needed."""
    function = f"name the function that returns the network: {OWN} --weights {path}"
    try:
        found = state_dicts.read(path)
    except UserError as error:  # several state dicts, or pickled code
        return str(error).removeprefix(f"{path}: "), f"{function}, or without --weights if it loads the file"
    first, tensor = next(iter(found.state.items()))
    place = f" under the key {found.key}" if found.key else ""
    kinds = f"{plural(len(found.state), 'tensor')}{place}, the first {first} {list(tensor.shape)}"
    return f"holds weights only ({kinds})", f"{function}, or torchvision:NAME or timm:NAME with --weights"
