"""Joins the tables of contents: builds methods from a study's objects, lists them, writes `rs/schema.json`.

The schema is generated from the dataclasses and committed, so that the workflow can check a study, name its
runs and refuse impossible pairs without importing torch. `rs schema --write` renews it; a test keeps the two
in step.
"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from rs.errors import UserError
from rs.methods import attacks, certificates, data, models, noise, objectives, soundness
from rs.methods.checked import checked_class
from rs.settings import plugins
from rs.settings.method_schema import USES, add_switch, key_of, method_schema_of
from rs.study import schema as study_schema
from rs.study.plugin_schema import broken, error_text
from rs.study.schema_document import document

if TYPE_CHECKING:
    from rs.study.study import Study

TABLES: dict[str, dict[str, str]] = {
    "datasets": data.METHODS,
    "models": models.METHODS,
    "objectives": objectives.METHODS,
    "noises": noise.METHODS,
    "certificates": certificates.METHODS,
    "attacks": attacks.METHODS,
}


# kind -> method -> boolean parameter -> the class that implements the method if the parameter is true. Runs
# without the parameter execute none of that class's code.
SWITCHES = {"noises": {"gaussian": {"exact": "rs.methods.noise.exact_gaussian:ExactGaussian"}}}

# By kind and method: the extra of this project without which it cannot run.
EXTRAS = {"attacks": dict.fromkeys(("autoattack_l2", "autoattack_linf", "square_linf"), "attacks")}


# The kinds of which our methods' answers are checked, too; of data sets, since other images can lie under the
# names of one (Fashion-MNIST's files are called as MNIST's). The check of a noise takes as long as its draws,
# and that of a network longer than its use.
HELD = ("datasets", "objectives", "certificates", "attacks")


def table(kind: str) -> dict[str, str]:
    """Name -> "module:Class" of every method of a kind, including those of plug-ins."""
    return {**plugins.table(kind), **TABLES[kind]}


_broken = functools.lru_cache(maxsize=256)(broken)


def find(kind: str, name: str, path: str | None = None) -> type:
    """The class of a method, built-in or from a plug-in; `path` ("module:Class") replaces its entry in the
    table. Raises UserError for one that is not there or breaks the protocol of its kind.
    """
    known = table(kind)
    if name not in known:
        raise UserError(f"{name!r} is none of the {kind}: {', '.join(sorted(known))}")
    path = path or known[name]
    module, _, attribute = path.partition(":")
    try:
        found: type = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module of a plug-in may raise anything
        raise UserError(f"{kind} {name} = {path}: {error_text(error)}") from error
    if wrong := _broken(kind, name, found) if isinstance(found, type) else "must be a class":
        raise UserError(f"{sys.modules[module].__file__}: {kind} {name} = {path}: {wrong}")
    return found


def build(kind: str, method: dict[str, Any]) -> Any:
    """The method object for `{"name": ..., hyperparameters}`. Keys of its use in a study are left out. Its
    answers are checked (rs.methods.checked), but for those of our noises and networks; and a plug-in's
    rigorous certificates (rs.methods.soundness).
    """
    use = {key_of(f.name) for f in fields(USES[kind])} if kind in USES else set()
    switches = SWITCHES.get(kind, {}).get(method["name"], {})
    chosen = next((path for switch, path in switches.items() if method.get(switch)), None)
    outside = {"name", *use, *(() if chosen else switches)}
    parameters = {k: v for k, v in method.items() if k not in outside}
    cls = find(kind, method["name"], chosen)
    foreign = cls.__module__.partition(".")[0] != "rs"
    if foreign or kind in HELD:
        cls = checked_class(kind, method["name"], cls)
    try:
        made: Any = TypeAdapter(cls).validate_python(parameters)
    except ValidationError as error:
        first, *others = error.errors()
        options = [first, *(e for e in others if e["loc"][:1] == first["loc"][:1])]  # of a union, one each
        place = first["loc"] if len(options) == 1 else first["loc"][:1]
        problems = " or ".join(e["msg"] for e in options)
        raise UserError(f"{method['name']}.{'.'.join(map(str, place))}: {problems}") from error
    if foreign and kind == "certificates" and made.rigorous:
        soundness.check(method["name"], made, functools.partial(build, "noises"))
    return made


def build_plug_ins(study: Study) -> None:
    """Builds the certificates of plug-ins that a study names, so that one which is refused stops the study
    before its first job.
    """
    theirs = plugins.table("certificates")
    for run in study.runs:
        for certificate in run.sections["certificates"]:
            if certificate["name"] in theirs:
                build("certificates", certificate)


def build_use(kind: str, method: dict[str, Any]) -> Any:
    """A study's use of a certificate or an attack: its `CertificateUse` or `AttackUse`."""
    use = USES[kind]
    keys = {f.name for f in fields(use)}
    return TypeAdapter(use).validate_python({k: v for k, v in method.items() if k in keys})


def schema() -> dict[str, Any]:
    """The schema of studies with built-in methods: the content of `rs/schema.json`."""
    from rs.methods.models.costs import costs  # loads torch, which votes alone do not need

    methods = {
        kind: {name: method_schema_of(kind, name, find(kind, name), path) for name, path in own.items()}
        for kind, own in TABLES.items()
    }
    for kind, own in SWITCHES.items():
        for name, switches in own.items():
            for switch, path in switches.items():
                add_switch(methods[kind][name], switch, find(kind, name, path), path)
    for kind, needed in EXTRAS.items():
        for name, extra in needed.items():
            methods[kind][name]["x-extra"] = extra
    for name, method in methods["models"].items():
        if "x-networks" not in method:  # a joined model costs what its networks cost
            method["x-costs"] = costs(find("models", name)())
    return document(methods)


def listing() -> dict[str, list[dict[str, Any]]]:
    """Every method that a study can name, by kind: name, source, description, and default hyperparameters."""
    methods = study_schema.schema()["$defs"]
    return {
        kind: [
            {
                "name": name,
                "source": methods[kind][name]["x-source"],
                "description": methods[kind][name]["description"],
                "parameters": {
                    p: methods[kind][name]["properties"][p].get("default", "required")
                    for p in methods[kind][name]["x-parameters"]
                },
            }
            for name in sorted(methods[kind])
        ]
        for kind in TABLES
    }
