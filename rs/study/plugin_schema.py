"""The schemas of methods that other distributions ship. Loads no torch beyond the imports of such a method.

Generating a schema imports the method. So a schema is generated once and kept in the user's cache folder
under the digest of all it depends on: a workflow that parses its study for every job loads torch once.
Without the cache, the schema is generated again.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rs.errors import UserError, guess
from rs.provenance import user_cache
from rs.provenance.code import code_digest
from rs.provenance.digests import digest, file_digest
from rs.provenance.files import read_json, versions, write_json
from rs.provenance.own_modules import python_files, roots_of
from rs.settings.method_facts import OPTIONAL, REQUIRED
from rs.settings.method_schema import key_of, method_schema_of
from rs.settings.passes import wrong_passes
from rs.settings.plugins import PlugIn
from rs.settings.spending import wrong_spends

# The calls that the harness makes to a method, and their arguments: see rs.methods.interfaces.
CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "datasets": {"load": ("data_dir",)},
    "models": {"build": ("shape", "classes", "mean", "std")},
    "objectives": {"loss": ("model", "x", "y", "noise", "generator", "progress")},
    "noises": {"sample": ("shape", "generator"), "log_ratio": ("noise", "shift")},
    "certificates": {"certify": ("draws", "noise", "alpha")},
    "attacks": {"at_radii": ("smoothed", "x", "y", "radii"), "minimal": ("smoothed", "x", "y")},
}
_NORMS = (1, 2, float("inf"))
_ACCESS = ("white-box", "gradient-free")
_NEEDS = {"counts", "soft_moments", "paired_counts"}


def schema_of(plug_in: PlugIn, built_in: Path) -> dict[str, Any]:
    """The method's schema; `built_in` is the file of the schemas of this package.

    Raises UserError where the method cannot be imported, breaks the protocol of its kind, or is code that no
    digest can follow.
    """
    made_of = {
        "plug-in": str(plug_in),
        "code": list(files_of(plug_in)),
        "built-in": file_digest(built_in),
        "versions": versions(),
    }
    cached = user_cache.folder("plug-ins") / f"{plug_in.name}-{digest(made_of, 32)}.json"
    with contextlib.suppress(UserError):
        stored: dict[str, Any] = read_json(cached)["schema"]
        return stored
    schema = _generate(plug_in)
    with contextlib.suppress(UserError):  # a home folder may be read-only
        write_json(cached, {"schema": schema, "plug-in": str(plug_in)})
    return schema


def files_of(plug_in: PlugIn) -> Iterator[tuple[str, str]]:
    """Every Python file of the method's package, and of the plug-in's own modules that it imports, with its
    digest; docstrings count.
    """
    roots = roots_of({plug_in.top})
    if not roots:
        raise plug_in.fail(f"there is no module {plug_in.top} (a package needs an __init__.py)")
    for root in roots:
        yield from ((file, file_digest(Path(file))) for file, _ in python_files(root))


def _generate(plug_in: PlugIn) -> dict[str, Any]:
    cls = load(plug_in)
    if refused := broken(plug_in.kind, plug_in.name, cls):
        raise plug_in.fail(refused)
    try:
        code_digest([plug_in.path])
    except UserError as error:  # every job would fail on it, inside of Snakemake
        raise plug_in.fail(str(error)) from error
    try:
        return method_schema_of(plug_in.kind, plug_in.name, cls, plug_in.path)
    except Exception as error:  # pydantic passes on any error of a type
        raise plug_in.fail(f"its fields cannot be written as a schema: {error_text(error)}") from error


def load(plug_in: PlugIn) -> Any:
    """The class. Raises UserError where its module lacks it or cannot be imported, for whatever reason."""
    module, _, attribute = plug_in.path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise plug_in.fail(error_text(error)) from error
    except (Exception, SystemExit) as error:
        raise plug_in.fail(f"cannot be imported: {error_text(error)}") from error


def broken(kind: str, name: str, cls: Any) -> str:
    """How a class, ours or a plug-in's, breaks the protocol of its kind; empty where it keeps it."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and _frozen(cls)):
        return "must be a frozen dataclass"
    source = getattr(cls, "source", None)
    if not (isinstance(source, str) and source.strip()):
        return "must state its `source`: the citation as a text"
    if is_ours(cls) and getattr(cls, "access", "") == "transfer":
        return ""  # it is never called: plans put the source run's attack in its place
    calls = {
        call: arguments for call, arguments in CALLS[kind].items() if kind != "attacks" or hasattr(cls, call)
    }
    for call, arguments in calls.items() or {" or ".join(CALLS[kind]): ()}.items():
        function = getattr(cls, call, None)
        if not callable(function):
            return f"lacks the method `{call}`"
        try:
            inspect.signature(function).bind(cls, *arguments)
        except TypeError:
            return f"`{call}` must take ({', '.join(arguments)})"
    return _broken_facts(kind, name, cls)


def _broken_facts(kind: str, name: str, cls: Any) -> str:
    stated = {f.name for f in dataclasses.fields(cls)}
    for fact in REQUIRED[kind]:
        if fact == "family" and is_ours(cls):
            continue  # a table of contents names it
        if not hasattr(cls, fact) and fact not in stated:
            line = f": family: ClassVar[str] = {name!r}" if fact == "family" else ""
            return f"must state its `{fact}`{line}"
    if kind == "noises" and getattr(cls, "family", name) != name:
        return f"its `family` is {cls.family!r}; it must be its name {name!r}, by which certificates know it"
    if kind == "attacks" and (cls.norm not in _NORMS or cls.access not in _ACCESS):
        return f"its `norm` must be one of 1, 2, inf and its `access` one of {', '.join(_ACCESS)}"
    if hasattr(cls, "passes") and (refused := wrong_passes(cls.passes, {*map(key_of, stated), "radii"})):
        return refused
    if kind == "certificates":
        if not (isinstance(cls.norms, dict) and cls.norms and all(n in _NORMS for n in cls.norms.values())):
            return "its `norms` must map noise families to 1, 2 or inf"
        if not (isinstance(cls.needs, frozenset) and cls.needs <= _NEEDS and cls.needs):
            return f"its `needs` must be a frozenset of one of {', '.join(sorted(_NEEDS))}"
        if not isinstance(cls.rigorous, bool):
            return "its `rigorous` must be True or False"
        if hasattr(cls, "spends") and (refused := wrong_spends(cls.spends, {*map(key_of, stated)})):
            return refused
    return _broken_options(kind, cls, stated) or _unannounced(cls)


def _broken_options(kind: str, cls: Any, stated: set[str]) -> str:
    """The message on a stated fact that does not exist or has an invalid value; empty where there is none. A
    plug-in's own class variables begin with _ or are in capitals; ours only look like no fact.
    """
    bases = [base for base in cls.__mro__ if base is not object]
    inherited = (base for base in bases if is_ours(base) and base.__module__ != cls.__module__)
    ours = {fact for base in inherited for fact in vars(base)}
    known = ["source", *REQUIRED[kind], *OPTIONAL[kind]]
    for base in bases:
        if base.__module__.split(".")[0] != cls.__module__.split(".")[0]:
            continue  # another distribution's
        for fact in {**vars(base), **inspect.get_annotations(base)}:
            own = fact.startswith("_") or fact.isupper() or hasattr(vars(base).get(fact), "__get__")
            if not own and fact not in (*known, *stated, *ours):
                meant = guess(fact, known)
                if not meant and is_ours(cls):
                    continue
                allowed = f"{', '.join(known)}; variables of its own begin with _ or are in capitals"
                return f"states `{fact}`, which is no fact of {kind}{meant}; allowed: {allowed}"
    for fact, option in OPTIONAL[kind].items():
        if fact in stated or not hasattr(cls, fact) or hasattr(vars(cls).get(fact), "__get__"):
            continue
        try:
            TypeAdapter(option.type).validate_python(getattr(cls, fact), strict=True)
        except ValidationError as error:
            return f"its `{fact}` is {getattr(cls, fact)!r}: {error.errors()[0]['msg']}"
    return ""


def _unannounced(cls: Any) -> str:
    """The message on a loss that uses `progress` without stating `phase`. In a recorded training step
    (rs.networks.captured_step), `progress` would keep its value from the time of recording.
    """
    loss = getattr(cls, "loss", None)
    if loss is None or hasattr(cls, "phase"):
        return ""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(loss)))
    except (OSError, TypeError, SyntaxError):  # no source to read
        return ""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "progress"]
    handed_on = {id(argument) for call in _calls_of_losses(loss, tree) for argument in call.args}
    if any(isinstance(node.ctx, ast.Load) and id(node) not in handed_on for node in names):
        return "`loss` uses `progress`; it must state `phase(progress)`, all that of it changes the loss"
    return ""


def _calls_of_losses(loss: Any, tree: ast.Module) -> Iterator[ast.Call]:
    """The calls of another objective's loss where no objective that the loss names depends on `progress`."""
    named = (loss.__globals__.get(name) for name in loss.__code__.co_names)
    others = [one for one in named if isinstance(one, type) and getattr(one, "loss", loss) is not loss]
    if others and not any(hasattr(one, "phase") or _unannounced(one) for one in others):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "loss":
                yield node


def is_ours(cls: Any) -> bool:
    return bool(cls.__module__.partition(".")[0] == "rs")


def _frozen(cls: Any) -> bool:
    return bool(cls.__dataclass_params__.frozen)


def error_text(error: BaseException) -> str:
    """Its type and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or ['no reason given'])[0]}"
