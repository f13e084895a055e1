"""The plan of a starting Snakemake, or of one that has this workflow as a module, and the sentences that it
prints before its first job. No torch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from rs.errors import UserError
from rs.plan import running_plans
from rs.plan.plan import Plan
from rs.provenance.files import write_text
from rs.study.study import Study


def plan_of(workflow: Any, config: dict[str, Any]) -> tuple[Plan, list[Path], dict[str, Any]]:
    """The plan, and the files and overrides (`--config`) of its study. As a module of another workflow, its
    config is the study.

    The jobs of a cluster parse the Snakefile again: they draw under the plan of the process that sent them,
    and print nothing. Neither does `--unlock`, which computes nothing. Raises UserError.
    """
    unlocks = "--unlock" in sys.argv
    if workflow.is_main_process and (beside := running_plans.beside(unlocks)) is not None:
        _print([beside])
    starts = workflow.is_main_process and not unlocks
    with running_plans.in_turn(starts) as record:
        if workflow.modifier.skip_configfile:
            plan, files, overrides = _of_a_module(config, workflow.modifier)
        else:
            here = Path.cwd()
            files = [Path(file) for file in workflow.overwrite_configfiles]
            files = files or [Path(workflow.basedir) / "config" / "config.yaml"]
            files = [file.relative_to(here) if file.is_relative_to(here) else file for file in files]
            overrides = dict(workflow.config_settings.config)
            plan = Plan(Study(files, overrides))
        record(plan.observer.kept)
    if starts:
        _settle(plan)
    return plan, files, overrides


def _of_a_module(config: dict[str, Any], modifier: Any) -> tuple[Plan, list[Path], dict[str, Any]]:
    """As plan_of, for Snakemake's `module NAME: config: ...`. The rules pass studies to their jobs as files,
    and `rs status` and `rs clean` look for files: the study is written to results/<name>/study.yaml.

    Raises UserError for a config that is no study, and for a module with a prefix: jobs hold the plan's
    paths, while Snakemake renames only the paths of rules.
    """
    called = f"module {modifier.namespace}: config"
    path = "results/data"
    if str(modifier.path_modifier.modify(path)) != path:
        raise UserError(f"module {modifier.namespace}: prefix: cannot be used; results lie in results/")
    plan = Plan(Study([], config, called))
    file = plan.folder / "study.yaml"
    text = yaml.safe_dump(plan.study.text, sort_keys=False)
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)
    return plan, [file], {}


def _settle(plan: Plan) -> None:
    """Checks what depends on this machine, and says what is to be known before the first job."""
    from rs.methods import catalog
    from rs.plan import extras, mixed_draws, namesakes, price, shard_sizes, staleness
    from rs.study import tracking_place

    catalog.build_plug_ins(plan.study)
    tracking_place.check_place(plan.study)
    _print([*namesakes.sentences(plan), *staleness.settle(plan), *mixed_draws.settle(plan)])
    _print([*shard_sizes.settle(plan), *extras.sentences(plan)])
    if (cost := price.sentence(plan)) is not None:
        _print([cost])


def _print(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"rs: {sentence}", file=sys.stderr)
