"""`rs rederive`: derives a study's tables from kept observations, without its networks, data or a workflow.

Observations (draws, attack outcomes, calibrations, manifests) lie in a folder as in results/runs. Today's
code computes certificates from the draws, and tables from all of it, in a temporary folder. So a change of a
certificate shows its effect on the published tables. Nothing is drawn, and the same observations give the
same text.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from rs.cli import study_stages
from rs.cli.overview import certified_accuracy_text, published_text, with_seeds
from rs.errors import UserError, plural
from rs.plan.jobs import RESULTS, PlannedRun
from rs.plan.plan import Plan
from rs.provenance.files import make_folder, write_text
from rs.stages.execution import as_dict, execute
from rs.study.study import Study
from rs.study.yaml_file import read_yaml
from rs.tables.aggregate import aggregate


def run(args: argparse.Namespace) -> None:
    if args.into and not args.study:
        raise UserError("--into: a folder for the page of one study, which --study names")
    if args.into:
        write_study(args.study, args.observations, args.into)
        print(f"{args.into / 'report.html'}")
        return
    if args.study:
        print(text_of(args.study, args.observations), end="")
        return
    for out, files in read_list(args.list).items():
        write_text(out, text_of(files, args.observations))


def read_list(path: Path, key: str = "tables", product: str = "TEXT FILE") -> dict[Path, list[Path]]:
    """The files (each a `product`) made from a study and its overlays, with these, as the YAML file lists
    them under `key`. Raises UserError where it lists none.
    """
    listed = read_yaml(path).get(key)
    good = isinstance(listed, dict) and all(isinstance(files, list) for files in listed.values())
    if not good or not listed:
        raise UserError(f"{path}: {key}: must be {{{product}: [STUDY, OVERLAY, ...]}}")
    return {Path(str(out)): [Path(str(file)) for file in files] for out, files in listed.items()}


@contextlib.contextmanager
def certified(plan: Plan, observations: Path, runs: Iterable[PlannedRun]) -> Iterator[None]:
    """Inside, the working directory is a folder with the observations of `runs` and the certificates derived
    from them. This takes a while, so a line announces it. Raises UserError where a run has no observations.
    """
    if not observations.is_dir():
        raise UserError(f"{observations}: no such folder; must be one of observations, as evidence/runs")
    kept, chosen = observations.resolve(), list(runs)
    print(f"rs: deriving the tables of {plan.study.name} from {observations}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        runs_folder = RESULTS / "runs"
        for name, label in {planned.network: planned.run.label for planned in chosen}.items():
            source = kept / name
            if not (source / "model.json").is_file():
                raise UserError(f"{observations / name}: no observations of run {label!r}")
            _copy(source, runs_folder / name)
        for job in (job for planned in chosen for job in plan.of_run(planned.id)):
            if job.stage == "certify":
                if lost := [path for path in job.needs() if not path.is_file()]:
                    place = observations / lost[0].relative_to(runs_folder)
                    raise UserError(f"{place}: no such observations; files missing: {len(lost)}")
                execute("certify", as_dict(job))
        yield


def _copy(source: Path, target: Path) -> None:
    """Copies all files of a folder. Raises UserError that names the first one that cannot be copied."""
    try:
        shutil.copytree(source, target, dirs_exist_ok=True)
    except shutil.Error as error:
        file, _, reason = error.args[0][0]
        raise UserError(f"{file}: cannot be copied: {reason}") from error


def text_of(files: list[Path], observations: Path) -> str:
    """The study's certified accuracies, published numbers, attacks and calibrations, as text; of a study that
    has none of these, its trainings.
    """
    plan = Plan(Study(files))
    with certified(plan, observations, plan.runs):
        tables = Path("tables")
        aggregate(plan, tables, "")
        parts = [certified_accuracy_text(tables), published_text(tables, measured_only=True).strip()]
        parts += [attacks_text(tables), calibration_text(tables)]
        sections = [part for part in parts if part and not part.startswith("no certificate")]
        return "\n\n".join(sections or [trainings_text(tables)]) + "\n"


def write_study(files: list[Path], observations: Path, folder: Path) -> None:
    """The study's page, figures and tables as in `results/<name>`, in a folder that is new or empty.

    Raises UserError for another folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; name a new folder for the page, the figures and the tables")
    plan, place = Plan(Study(files)), folder.resolve()
    with certified(plan, observations, plan.runs):
        study_stages.aggregate(plan)
        study_stages.report(plan)
        make_folder(place, "report.html")
        _copy(plan.folder, place)


def attacks_text(tables: Path) -> str:
    """Accuracy under each attack, a row per label and attack, a column per radius, with three decimals: the
    mean over `seeds` where a label of the study has several.
    """
    rows, named = with_seeds(tables, "empirical_accuracy")
    if rows.empty:
        return ""
    several = [column for column in named if column == "seed"]
    key = ["label", "smoothing", "attack"]
    rows["seeds"] = rows.groupby(key)[several].transform("nunique") if several else 1
    wide = rows.pivot_table(
        index=[*key[:1], *(["seeds"] if several else []), *key[1:]],
        columns="radius",
        values="accuracy",
        sort=False,
    )
    wide.columns = [f"r={r:g}" for r in wide.columns]
    sizes = sorted({*rows["images"]})
    images = plural(sizes[0], "image") if len(sizes) == 1 else f"{', '.join(map(str, sizes))} images"
    table: str = wide.reset_index().to_string(index=False, float_format="%.3f")
    return f"{table}\naccuracy under attack, {images}" + ", mean over the seeds" * bool(several)


def calibration_text(tables: Path) -> str:
    """The epsilons to which runs are calibrated (NAL, eq. 8), with and without the noise in the cost."""
    rows, named = with_seeds(tables, "calibration")
    if rows.empty:
        return ""
    shown = [*named, "gamma", "noise_level", "images"]
    shown += [f"epsilon_{cost}{what}" for cost in ("with_noise", "without_noise") for what in ("", "_se")]
    table: pd.DataFrame = rows[shown]
    return table.to_string(index=False, float_format="%.4f") + "\ncalibrated epsilon and its standard error"


def trainings_text(tables: Path) -> str:
    """How long each training took."""
    rows, named = with_seeds(tables, "runs")
    table: pd.DataFrame = rows[[*named, "epochs", "train_seconds"]]
    return table.to_string(index=False, float_format="%.1f") + "\nseconds of training"
