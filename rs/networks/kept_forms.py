"""Compiled networks kept as files, so that a job votes without starting the compiler.

In every process `torch.compile` traces a network and generates its code anew; only the machine code is
cached. This takes seconds for each job. AOTInductor writes everything into one file, which loads in
milliseconds. It is the same classifier: a file is kept only if its logits are those of `torch.compile` bit
for bit. So a form's description does not say which of the two has voted.

A file's name holds a digest of everything that it was made from (the network as torch.fx writes it down with
every number it holds, the batch, torch, the processor and the threads) and the file's own digest. It appears
complete, by one renaming, whichever processes write at the same time or are killed. So it cannot be out of
date, and it may be removed at any time: the compiler then starts as before.

Nothing is kept of networks that torch.fx does not see whole (hooks, a replaced `forward`, layers of other
packages, control flow on tensors), on a GPU, or in float32, whose dense layers torch.compile hands to MKL and
AOTInductor does not.

The files are executable code. So folder and files are the user's alone, and a file that others can write to
is not loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from rs.networks.transformations import one_line, warn
from rs.provenance import user_cache
from rs.provenance.digests import digest, file_digest

OPTIONS = {"freezing": True}  # weights are constants of the code, as they are for torch.compile
LAYERS, FUNCTIONS = "torch.nn.modules.", ("torch", "math", "_operator", "operator", "builtins")
SETTINGS = ("TORCHINDUCTOR_", "ATEN_", "ONEDNN_", "DNNL_")  # variables that choose code or kernels
UNSET = ("TORCHINDUCTOR_CACHE_DIR",)  # of these, those that only name folders
SHARED = "its compiled forms are not loaded: folder and files must be yours, and others cannot write to them"
DAMAGED = "damaged, so the compiler starts; remove it, and the form stage makes it anew"
HELD = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training")
DAY = 86_400  # seconds: no process compiles for so long
Run = Callable[[Tensor], Tensor]


def find(network: nn.Module, batch: Tensor) -> Run | None:
    """The kept form of a network for batches of this shape and layout, or None. Warns of a file that cannot
    be used.
    """
    if _refusal(batch) or not _folder().is_dir() or (name := name_of(network, batch)) is None:
        return None
    for file in _kept(name):
        try:
            if not user_cache.private((_folder(), file)):
                warn(str(_folder()), SHARED)
            elif _whole(file):
                return _loaded(file)
            else:
                warn(str(file), DAMAGED)
        except FileNotFoundError:  # removed in the meantime
            continue
        except Exception as error:  # for example, no library for this machine
            warn(str(file), f"is not loaded, so the compiler starts: {one_line(error)}")
    return None


def keep(network: nn.Module, compiled: Run, batches: Sequence[Tensor]) -> str | None:
    """Keeps a network's compiled form if it is the same function as `compiled` on all `batches`, which have
    one shape and layout. Otherwise returns why not; nothing depends on a kept form.
    """
    if refusal := _refusal(batches[0]):
        return refusal
    if (name := name_of(network, batches[0])) is None:
        return "torch.fx does not see all of it"
    if find(network, batches[0]) is not None:
        return None
    own = _folder() / f".{secrets.token_hex(4)}.pt2"  # the suffix that a package's name needs
    try:
        _folder().mkdir(0o700, parents=True, exist_ok=True)
        if not user_cache.private([_folder()]):
            return f"{_folder()}: {SHARED}"
        with torch.no_grad():
            exported = torch.export.export(network, (batches[0],))
            package = str(own)  # options are copied below, since torch adds to them
            torch._inductor.aoti_compile_and_package(
                exported, package_path=package, inductor_configs={**OPTIONS}
            )
            found = _loaded(own)
            if not all(torch.equal(found(batch), compiled(batch)) for batch in batches):
                return "it rounds otherwise"
        own.chmod(0o600)
        for file in _kept(name):  # keeps whole ones, which another process may have made since
            if not (user_cache.private([file]) and _whole(file)):
                file.unlink(missing_ok=True)
        own.replace(_folder() / f"{name}.{file_digest(own)}.pt2")
    except Exception as error:  # from the compiler, or a read-only home folder
        return one_line(error)
    finally:
        with contextlib.suppress(OSError):  # the user may have no cache at all
            own.unlink(missing_ok=True)
    return None


def clear() -> None:
    """Removes files of processes that were killed while they compiled."""
    with contextlib.suppress(OSError):
        for file in _folder().glob(".*.pt2"):
            if time.time() - file.stat().st_mtime > DAY:
                file.unlink(missing_ok=True)


def _refusal(batch: Tensor) -> str | None:
    kind = f"{batch.dtype} on {batch.device.type}"
    return None if kind == "torch.bfloat16 on cpu" else f"{kind} is not kept"


def name_of(network: nn.Module, batch: Tensor) -> str | None:
    """Digest of everything that a kept form is made from; None if torch.fx does not see all of the
    network.
    """
    written = _written(network)
    if written is None:
        return None
    version = [torch.__version__, torch.version.git_version]
    names = sorted(name for name in os.environ if name.startswith(SETTINGS) and name not in UNSET)
    return digest(
        {
            "network": written,
            "batch": [list(batch.shape), list(batch.stride()), str(batch.dtype), batch.device.type],
            "torch": version,
            "processor": _processor(),
            "threads": torch.get_num_threads(),
            "options": [OPTIONS, {name: os.environ[name] for name in names}],
        },
        32,
    )


def _written(network: nn.Module) -> list[Any] | None:
    """A network's traced code, its layers' settings and digests of its tensors."""
    if not _called_plainly(network):
        return None
    try:
        graph = fx.Tracer().trace(network)
        code = graph.python_code("self")
    except Exception:  # control flow on tensors, a scripted network, anything that a user's network raises
        return None
    if not all(_known(value) for value in code.globals.values()):
        return None
    layers = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    settings = {name: _settings(network.get_submodule(name)) for name in sorted(layers)}
    tensors = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    held = {name: _attribute(network, name) for name in sorted(tensors)}
    for name in layers:
        layer = network.get_submodule(name)
        held |= {f"{name}.{k}": v for k, v in (*layer.named_parameters(), *layer.named_buffers())}
    if None in settings.values() or not all(isinstance(value, Tensor) for value in held.values()):
        return None
    return [code.src, settings, {name: _content(value) for name, value in held.items()}]


def _called_plainly(network: nn.Module) -> bool:
    """Whether calling the network, and every module inside, only calls its class's `forward`, which is all
    that torch.fx traces.
    """
    call = type(network).__call__  # a traced network's own one only changes error texts
    if nn.modules.module._has_any_global_hook() or not (
        isinstance(network, fx.GraphModule) or call is nn.Module.__call__
    ):
        return False
    return not any("forward" in vars(each) or _hooks(each) for each in network.modules())


def _hooks(module: nn.Module) -> list[Any]:
    return [v for k, v in vars(module).items() if "hook" in k and not isinstance(v, bool) and v]


def _known(value: Any) -> bool:
    """Whether a global of traced code is a number, the name of an annotation's type, or part of torch or
    Python, whose version is known.
    """
    if isinstance(value, (float, int, str)):
        return True
    module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    return str(module).split(".")[0] in FUNCTIONS


def _settings(layer: nn.Module) -> list[Any] | None:
    """Classes and settings of a layer and the layers inside it; None if one is of another package."""
    layers = []
    for name, each in layer.named_modules():
        own = {k: v for k, v in vars(each).items() if k not in HELD and "hook" not in k}
        if not type(each).__module__.startswith(LAYERS) or not all(map(_plain, own.values())):
            return None
        layers.append(
            [name, type(each).__qualname__, each.training, sorted((k, repr(v)) for k, v in own.items())]
        )
    return layers


def _plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _attribute(network: Any, name: str) -> Any:
    for part in name.split("."):
        network = getattr(network, part)
    return network


def _content(tensor: Tensor) -> list[Any]:
    numbers = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return [
        hashlib.sha256(numbers.tobytes()).hexdigest(),
        list(tensor.shape),
        list(tensor.stride()),
        str(tensor.dtype),
    ]


def _processor() -> str:
    """Model and instruction sets of the processor for which code is generated."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {line.partition(":")[0].strip(): line for line in reversed(lines)}  # the first core's
        return " ".join(facts.get(key, "") for key in ("model name", "flags", "Features"))
    return f"{platform.machine()} {platform.processor()}"


def _loaded(file: Path) -> Run:
    """Loads a kept form. torch.export's loader would import the compiler, which takes as long as most
    jobs.
    """
    loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)
    return lambda images: loader.boxed_run([images])[0]


def _folder() -> Path:
    return user_cache.folder("compiled")


def _kept(name: str) -> list[Path]:
    """Files of this name; more than one if several processes made it at once."""
    return sorted(_folder().glob(f"{name}.*.pt2"))


def _whole(file: Path) -> bool:
    return file_digest(file) == file.name.split(".")[1]
