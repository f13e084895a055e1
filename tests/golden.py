"""What a commit may change only on purpose: the digest of each stage's and each method's code, the ids of all
runs and jobs of the shipped studies, and the names and parameters of `import rs`. `python tests/golden.py`
renews tests/golden/ after such a change.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import re
import tempfile
from pathlib import Path

import rs
from rs.plan.plan import Plan
from rs.plan.stages import STAGES
from rs.provenance.code import code_digest
from rs.provenance.digests import digest
from rs.study.schema import schema
from rs.study.study import Study

CHECKOUT = Path(__file__).resolve().parents[1]
GOLDEN = Path(__file__).with_name("golden")
RENEW = "if this is meant, renew it with `python tests/golden.py` and say in the commit what becomes stale"
WAYS = {  # key of a spec that asks for another way of a stage -> that way
    "stop": "until decided",
    "answers": "with answers",
    "rule": "by tests",
    "source": "from answers",
    "chance": "of chance",
}
KINDS = ("datasets", "models", "objectives", "noises", "certificates", "attacks")


def code_digests() -> dict[str, str]:
    """Of the own code of each stage with one job per run or more, in each of its ways, and of methods."""
    found = {name: code_digest(stage.code_of({})) for name, stage in STAGES.items()}
    for name, stage in STAGES.items():
        found |= {f"{name} {WAYS[key]}": code_digest(stage.code_of({key: True})) for key in stage.instead}
    for kind in KINDS:
        for name, method in schema()["$defs"][kind].items():
            found[f"{kind}/{name}"] = code_digest([method["x-class"]])
            for switch, path in method.get("x-switches", {}).items():
                found[f"{kind}/{name} {switch}"] = code_digest([path])
    return found


def shipped() -> dict[str, list[Path]]:
    """Every study under config/, and every evidence study with the overlays of the command that it names."""
    config = CHECKOUT / "config"
    found = [*config.glob("*.yaml"), *config.glob("papers/*.yaml")]
    commands = [[str(path.relative_to(CHECKOUT))] for path in found]
    for path in config.glob("evidence/*.yaml"):
        named = re.findall(r"^#.*--configfile (.+)$", path.read_text(), re.MULTILINE)
        commands += [command.split() for command in named]
    return {" ".join(command): [Path(file) for file in command] for command in commands}


def ids() -> tuple[dict[str, str], list[str]]:
    """A digest of the targets and specs of each study's jobs, and the ids of all runs."""
    studies, runs = {}, set()
    # away from results, whose draws have blocks that a study may follow
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in ("config", "evidence"):
            Path(part).symlink_to(CHECKOUT / part)
        for name, files in shipped().items():
            plan = Plan(Study(files))
            jobs = [[stage, t, job.params] for stage, jobs in plan.jobs.items() for t, job in jobs.items()]
            studies[name] = digest(sorted(jobs), 16)
            runs |= {planned.id for planned in plan.runs}
    return studies, sorted(runs)


def face() -> str:
    """Every function of `import rs` with its parameters, every class with its fields and what it offers."""
    lines = []
    for name in (n for n in rs.__all__ if callable(getattr(rs, n))):
        found = getattr(rs, name)
        if not inspect.isclass(found):
            lines.append(f"{name}{parameters(found)}")
            continue
        fields = {f.name for f in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
        own = {n: v for n, v in vars(found).items() if not n.startswith("_")}
        offered = (n + (parameters(v) if inspect.isfunction(v) else "") for n, v in own.items())
        lines += [f"{name}.{each}" for each in sorted({*fields, *offered})] or [name]
    return "\n".join(lines) + "\n"


def parameters(function: object) -> str:
    """Names and defaults."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))


def as_text(digests: dict[str, str]) -> str:
    return json.dumps(digests, indent=1, sort_keys=True) + "\n"


def golden() -> dict[str, str]:
    """The files of tests/golden/ as they would be written now."""
    studies, runs = ids()
    return {
        "code_digests.json": as_text(code_digests()),
        "studies.json": as_text(studies),
        "face.txt": face(),
        "runs.txt": "\n".join(runs) + "\n",
    }


if __name__ == "__main__":
    for file, text in golden().items():
        (GOLDEN / file).write_text(text)
