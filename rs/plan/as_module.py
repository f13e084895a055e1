"""The workflow as a module of another Snakemake workflow: the config of that module is the study. No torch.

The rules pass studies to their jobs as files, and `rs status` and `rs clean` look for files. So the checked
study is written to results/<name>/study.yaml.
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
