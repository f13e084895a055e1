"""Only stale targets rerun: the exact jobs of a dry run after each kind of edit, on the real DAG."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from typing import Any

import pandas as pd
import pytest
import yaml
from workspace import MACER, SMOOTHADV, STUDY, TABLES, Workspace, wait_for

pytestmark = pytest.mark.workflow

DOWNSTREAM_OF_DRAWS = Counter(
    {("certify", "macer-gaussian-0p25"): 1, ("certify", "smoothadv-gaussian-0p25"): 1}
)


def test_the_study_ran_to_its_end_and_running_again_does_nothing(finished: Workspace) -> None:
    assert finished.planned() == Counter()
    accuracy = pd.read_parquet(finished.one("tiny/tables/certified_accuracy.parquet"))
    assert set(accuracy["label"]) == {"macer", "smoothadv"}
    assert set(accuracy["radius"]) == {0.0, 0.25, 0.5}
    assert set(accuracy["images"]) == {20}
    runs = pd.read_parquet(finished.one("tiny/tables/runs.parquet")).set_index("label")
    calibration = pd.read_parquet(finished.one("tiny/tables/calibration.parquet")).set_index("label")
    assert runs.loc["smoothadv", "resolved.epsilon"] == calibration.loc["nal", "epsilon_without_noise"]
    shown = finished.rs("show", "--study", "study.yaml")
    assert "macer" in shown
    assert "results/tiny/report.html" in shown
    assert finished.one("tiny/report.html").stat().st_size > 10_000


def test_a_new_sigma_runs_only_its_own_targets(work: Workspace) -> None:
    def add(study: dict[str, Any]) -> None:
        study["runs"]["wide"] = {**study["runs"]["macer"], "noise": {"name": "gaussian", "sigma": 0.5}}

    work.study(add)
    assert (
        work.planned()
        == Counter({(rule, "macer-gaussian-0p5"): n for (rule, _), n in MACER.items()}) + TABLES
    )


def test_a_new_sweep_value_runs_only_its_own_targets(work: Workspace) -> None:
    work.study(lambda s: s["runs"]["macer"].update(sweep={"product": {"objective.lambda": [4, 8]}}))
    jobs = work.jobs()
    assert Counter((job.rule, job.run) for job in jobs) == MACER + TABLES
    trained = {path.name for path in (work.folder / "results" / "runs").iterdir()}
    assert not trained & {job.id for job in jobs}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda s: s["certificates"][0].update(alpha=0.01), DOWNSTREAM_OF_DRAWS + TABLES),
        (lambda s: s["certificates"].append({"name": "pixeldp"}), DOWNSTREAM_OF_DRAWS + TABLES),
        (lambda s: s["report"].update(radii=[0.0, 0.1]), TABLES),
        (lambda s: s.update(description="Another text."), Counter({("report", ""): 1, ("track", ""): 1})),
    ],
    ids=["alpha", "certificate", "radii", "description"],
)
def test_editing_a_claim_runs_no_training_and_no_sampling(
    work: Workspace, edit: Any, expected: Counter[tuple[str, str]]
) -> None:
    work.study(edit)
    assert work.planned() == expected


def test_more_votes_draw_only_the_new_blocks(work: Workspace) -> None:
    work.study(lambda s: s["sampling"].update(n=400))
    jobs = work.jobs()
    blocks = {o.rpartition("/")[2] for job in jobs if job.rule == "sample" for o in job.outputs}
    assert blocks == {"0-20-1_block2.parquet", "0-20-1_block3.parquet"}
    sampled = Counter({("sample", "macer-gaussian-0p25"): 2, ("sample", "smoothadv-gaussian-0p25"): 2})
    assert Counter((job.rule, job.run) for job in jobs) == sampled + DOWNSTREAM_OF_DRAWS + TABLES


def test_more_images_draw_only_the_new_ranges(work: Workspace) -> None:
    work.study(lambda s: s["test"].update(max=40))
    jobs = work.jobs()
    ranges = {
        o.rpartition("/")[2].partition("_")[0] for job in jobs if job.rule == "sample" for o in job.outputs
    }
    assert ranges == {"20-40-1"}
    sampled = Counter({("sample", "macer-gaussian-0p25"): 3, ("sample", "smoothadv-gaussian-0p25"): 3})
    assert Counter((job.rule, job.run) for job in jobs) == sampled + DOWNSTREAM_OF_DRAWS + TABLES


def test_fewer_images_and_votes_draw_nothing(work: Workspace) -> None:
    work.study(lambda s: (s["test"].update(max=15), s["sampling"].update(n=100)))
    assert work.planned() == DOWNSTREAM_OF_DRAWS + TABLES


def _other_spelling(value: Any) -> Any:
    """The same study with its keys the other way round and whole numbers as floats."""
    if isinstance(value, dict):
        floats = ("lambda", "gamma", "sigma", "alpha", "learning_rate")
        turned = {k: float(v) if k in floats else _other_spelling(v) for k, v in value.items()}
        return dict(reversed(turned.items()))
    return [_other_spelling(v) for v in value] if isinstance(value, list) else value


def test_spelling_changes_nothing(work: Workspace) -> None:
    text = yaml.safe_dump(_other_spelling(STUDY), sort_keys=False)
    (work.folder / "study.yaml").write_text("# a comment\n" + text.replace("\n", "  # and here\n", 1))
    # the order of the runs is the order of the rows in the tables; everything else is spelling
    assert work.planned() - TABLES == Counter()
    study = _other_spelling(STUDY)
    study["runs"] = dict(reversed(study["runs"].items()))
    (work.folder / "study.yaml").write_text("# a comment\n" + yaml.safe_dump(study, sort_keys=False))
    assert work.planned() == Counter()


def test_defaults_written_out_change_nothing(work: Workspace) -> None:
    def spell(study: dict[str, Any]) -> None:
        study["training"]["schedule"] = {"name": "constant"}
        study["training"]["optimizer"]["weight_decay"] = 1e-4
        study["runs"]["macer"]["objective"]["gamma"] = 8
        study["sampling"]["precision"] = "float32"

    work.study(spell)
    assert work.planned() == Counter()


def test_touched_files_change_nothing(work: Workspace) -> None:
    for path in sorted(work.folder.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
            time.sleep(0.001)  # the order of the touches is the order of the paths, not of the pipeline
    assert work.planned() == Counter()


def test_another_device_changes_nothing(work: Workspace) -> None:
    work.study(
        lambda s: (s["training"].update(device="auto", threads=2), s["sampling"].update(device="auto"))
    )
    assert work.planned() == Counter()


def test_lost_weights_are_trained_again(work: Workspace) -> None:
    work.one("runs/*-macer-*/model.safetensors").unlink()
    assert work.planned() == Counter()  # nothing that is missing needs them
    work.study(lambda s: s["sampling"].update(n=300))
    again = MACER + Counter({("sample", "macer-gaussian-0p25"): 1})
    others = Counter({("sample", "smoothadv-gaussian-0p25"): 1, ("certify", "smoothadv-gaussian-0p25"): 1})
    assert work.planned() == again + others + TABLES


def test_what_people_read_is_made_again_where_it_is_lost(work: Workspace) -> None:
    table = work.one("tiny/tables/runs.parquet")
    table.unlink()
    assert work.planned() == TABLES
    assert ["tiny", "0", "1", "22"] in [
        line.split() for line in work.rs("status", "--study", "study.yaml").splitlines()
    ]
    work.snakemake("aggregate")
    assert table.exists()
    work.snakemake()
    shutil.rmtree(work.one("tiny/figures"))
    work.one("mlflow.db").unlink()
    assert work.planned() == Counter({("report", ""): 1, ("track", ""): 1})


def test_going_back_to_a_former_hyperparameter_runs_nothing_but_the_tables(work: Workspace) -> None:
    def other(study: dict[str, Any]) -> None:
        study["runs"]["macer"]["objective"]["lambda"] = 8
        study["runs"]["macer"] |= {"attacks": [], "training": {"epochs": 1}}

    work.study(other)
    work.snakemake("aggregate")
    labels = pd.read_parquet(work.one("tiny/tables/runs.parquet")).set_index("label")
    assert labels.loc["macer", "objective.lambda"] == 8
    work.study()
    assert work.planned() == TABLES


# --- code ---


def test_comments_and_docstrings_change_nothing(work: Workspace) -> None:
    file = work.folder / "rs/methods/objectives/macer.py"
    text = file.read_text()
    end = text.index('"""', 3)
    text = text[:end] + "\nAnother remark.\n" + text[end:]
    file.write_text(text.replace("    def loss(", "    # a comment\n\n    def loss(", 1))
    work.edit("rs/stages/train.py", "def train(", "# a comment\ndef train(")
    assert work.planned() == Counter()


def test_messages_progress_and_what_nothing_executes_change_nothing(work: Workspace) -> None:
    work.edit("rs/stages/train.py", "diverged in epoch", "went astray in epoch")
    work.edit("rs/stages/train.py", '"epochs", first)', '"rounds", first)')
    work.edit("rs/machine/progress.py", "SECONDS_BETWEEN_LINES = 5.0", "SECONDS_BETWEEN_LINES = 50.0")
    work.edit("rs/methods/catalog.py", "is none of the", "is not among the")
    with open(work.folder / "rs/methods/objectives/macer.py", "a") as file:
        file.write("\nANOTHER_CONSTANT = 1\n")
    assert work.planned() == Counter()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("rs/methods/objectives/macer.py", MACER),
        ("rs/methods/certificates/cohen.py", DOWNSTREAM_OF_DRAWS),
        (
            "rs/methods/objectives/nal.py",
            Counter({("train", "nal-gaussian-0p25"): 1, ("calibrate", "nal-gaussian-0p25"): 1}) + SMOOTHADV,
        ),
        ("rs/methods/attacks/pgd_l2.py", Counter({("attack", "macer-gaussian-0p25"): 1})),
    ],
    ids=["macer", "cohen", "nal", "pgd_l2"],
)
def test_a_code_edit_makes_stale_exactly_what_depends_on_it(
    work: Workspace, module: str, expected: Counter[tuple[str, str]]
) -> None:
    work.change_code(module)
    assert work.planned() == expected + TABLES


def test_what_a_failed_job_would_have_renewed_is_still_stale(work: Workspace) -> None:
    """MACER is trained again, then later jobs fail and leave no file by whose age Snakemake could tell."""
    work.change_code("rs/methods/objectives/macer.py")
    manifest = work.one("runs/*-macer-*/model.json")
    work.snakemake(str(manifest.relative_to(work.folder)))
    for stage in ("draws", "certified", "attacks"):
        for path in (manifest.parent / stage).rglob("*.parquet"):
            path.unlink()
    assert work.planned() == MACER - Counter({("train", "macer-gaussian-0p25"): 1}) + TABLES


def test_a_new_method_makes_nothing_stale(work: Workspace) -> None:
    source = (work.folder / "rs/methods/objectives/gaussian.py").read_text()
    assert "class GaussianTraining" in source
    newcomer = source.replace("class GaussianTraining", "class Newcomer", 1)
    (work.folder / "rs/methods/objectives/newcomer.py").write_text(newcomer)
    entry = '    "newcomer": "rs.methods.objectives.newcomer:Newcomer",\n'
    work.edit("rs/methods/objectives/__init__.py", '    "macer":', f'{entry}    "macer":')
    work.rs("schema", "--write")
    assert work.planned() == Counter()
    work.study(lambda s: s["runs"].update(newcomer={"objective": {"name": "newcomer"}}))
    own = Counter({(rule, "newcomer-gaussian-0p25"): n for (rule, _), n in SMOOTHADV.items()})
    assert work.planned() == own + TABLES


def test_code_edited_while_it_trains_is_stale_afterwards(work: Workspace) -> None:
    manifest = work.one("runs/*-macer-*/model.json")
    for path in manifest.parent.glob("*.*"):
        path.unlink()
    running = work.start(str(manifest.relative_to(work.folder)))
    try:
        wait_for(lambda: list(manifest.parent.glob("resume-*.pt")))
        assert not manifest.exists()
        work.change_code("rs/methods/objectives/macer.py")
        assert running.wait(120) == 0
    finally:
        running.kill()
    assert manifest.exists()
    assert work.planned() == MACER + TABLES
