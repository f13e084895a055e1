"""The workflow as a module of another one: the config that it is given is the study. No torch.

The rules hand studies to their jobs as files, and `rs status` and `rs clean` look for files, so the study is
written to results/<name>/study.yaml once it is checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from rs.errors import UserError
from rs.plan.plan import Plan
from rs.provenance.files import write_text
from rs.study.study import Study


def plan_of(config: dict[str, Any], modifier: Any) -> tuple[Plan, list[Path], dict[str, Any]]:
    """The plan, the study's files and its overrides (none) for Snakemake's `module NAME: config: ...`.

    Raises UserError for a config that is no study, and for a module with a prefix: the paths in jobs are the
    plan's, and Snakemake renames only those of the rules.
    """
    called = f"module {modifier.namespace}: config"
    path = "results/data"
    if str(modifier.path_modifier.modify(path)) != path:
        raise UserError(f"module {modifier.namespace}: prefix: cannot be used; results lie in results/")
    plan = Plan(Study([], config, called))
    file = plan.folder / "study.yaml"
    text = yaml.safe_dump(plan.study.text, sort_keys=False)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)
    return plan, [file], {}
