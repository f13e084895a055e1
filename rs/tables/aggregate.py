"""The aggregate stage: a study's Parquet tables from the files of its runs. Everything here is derived,
nothing drawn.

Definitions: certified at r means correct, not abstained, radius >= r. The average certified radius counts
wrong and abstained images as 0. Intervals are 95 %: Wilson for accuracies, Student t for average certified
radii.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from rs.errors import UserError
from rs.plan.calibrated import read_calibration
from rs.plan.jobs import PlannedLog, PlannedRun, describe
from rs.plan.plan import NOT_IDENTITY, Plan
from rs.provenance.files import ADVICE, provenance, read_table, write_table
from rs.provenance.run_files import read_certified, read_model_manifest
from rs.settings.sampling import Stop
from rs.statistics.intervals import t_interval, wilson_interval
from rs.study.certification_log import read_log
from rs.study.schema import defaults, method_schema
from rs.tables.aggregated import check_files
from rs.tables.attack_checks import COLUMNS as CHECKS
from rs.tables.attacks import EMPIRICAL, attack_rows
from rs.tables.distributional import CERTIFICATES, derive
from rs.tables.logs import images
from rs.tables.published import beside
from rs.tables.worst_cases import BOUND_CHECKS, WORST_CASES

Rows = dict[str, list[dict[str, Any]]]

CURVE_POINTS = 201  # of the radius-accuracy curves that figures draw

COLUMNS: dict[str, tuple[str, ...]] = {
    "runs": (
        *("run", "label", "dataset", "model", "objective", "noise", "sigma", "seed", "epochs"),
        *("train_seconds", "device"),
    ),
    "training": ("run", "epoch", "loss"),
    "certified_accuracy": (
        *("run", "label", "smoothing", "smoothing_sigma", "certificate", "norm", "radius"),
        *("certified_accuracy", "low", "high", "images", "alpha", "n", "rigorous", "precision"),
        *("stopping", "lower_bound", "largest_radius"),
    ),
    "radius_accuracy": (
        *("run", "label", "smoothing", "smoothing_sigma", "certificate", "norm", "rigorous", "radius"),
        *("certified_accuracy", "low", "high"),
    ),
    "average_certified_radius": (
        *("run", "label", "smoothing", "smoothing_sigma", "certificate", "norm", "acr", "low", "high"),
        *("images", "alpha", "n", "rigorous", "precision", "stopping", "lower_bound", "largest_radius"),
    ),
    "certified_accuracy_over_seeds": (
        *("label", "smoothing", "smoothing_sigma", "certificate", "norm", "radius", "mean", "std", "seeds"),
    ),
    "average_certified_radius_over_seeds": (
        *("label", "smoothing", "smoothing_sigma", "certificate", "norm", "lower_bound"),
        *("mean", "std", "seeds"),
    ),
    "empirical_accuracy": EMPIRICAL,
    "attack_checks": ("run", "label", "smoothing", "smoothing_sigma", *CHECKS),
    "calibration": (
        *("run", "label", "gamma", "sigma", "images", "noise_in_cost", "rho_with_noise", "rho_with_noise_se"),
        *(
            "rho_without_noise",
            "rho_without_noise_se",
            "epsilon_with_noise",
            "epsilon_with_noise_se",
            "epsilon_without_noise",
        ),
        *("epsilon_without_noise_se", "rho_reused_noise", "rho_reused_noise_se"),
        *("epsilon_reused_noise", "epsilon_reused_noise_se"),
    ),
    "distributional": ("run", "label", "smoothing", "smoothing_sigma", *CERTIFICATES),
    "worst_cases": ("run", "label", "smoothing", "smoothing_sigma", *WORST_CASES),
    "bound_checks": ("run", "label", "smoothing", "smoothing_sigma", *BOUND_CHECKS),
    "published": (
        *("paper", "table", "label", "smoothing_sigma", "metric", "radius", "published", "reproduced"),
        *("low", "high", "lower_bound", "verdict"),
    ),
    "examples": (
        *("run", "label", "smoothing", "attack", "image", "true", "radius", "prediction", "shape"),
        *("clean", "noisy", "attacked"),
    ),
}


def aggregate(plan: Plan, folder: Path, code: str) -> None:
    """Writes every table of COLUMNS into `folder`; a table without rows keeps its columns."""
    rows: Rows = {name: [] for name in COLUMNS}
    radii = [float(r) for r in plan.study.report["radii"]]
    unchecked = check_files(plan)
    for planned in plan.runs:
        head = {"run": planned.id, "label": planned.run.label}
        if planned.run.kind == "imported":
            rows["runs"].append({**head, **_imported_row(planned)})
        else:
            _training_rows(planned, head, rows)
        if unchecked[planned.id]:  # written before files carried checksums
            rows["runs"][-1]["content"] = f"{len(unchecked[planned.id])} files not checked"
        if planned.calibration:
            measured = read_calibration(planned.calibration)
            found = {k: v for k, v in measured.items() if k in COLUMNS["calibration"]}
            rows["calibration"].append({**head, "sigma": planned.spec["noise"].get("sigma"), **found})
        for observation in planned.observations:
            smoothing = _smoothing(observation.noise)
            if observation.certified:
                _certified_rows(observation.certified, {**head, **smoothing}, planned, radii, rows)
            accuracies, examples, checks = attack_rows(planned, observation, {**head, **smoothing})
            rows["empirical_accuracy"] += accuracies
            rows["examples"] += examples
            rows["attack_checks"] += checks
            if observation.distributional:
                section = planned.run.sections["distributional"]
                told = derive(observation.distributional, section, _training_gamma(planned))
                names = ("distributional", "worst_cases", "bound_checks")
                for name, derived in zip(names, told, strict=True):
                    rows[name] += [{**head, **smoothing, **row} for row in derived]
    for log in plan.logs:
        _log_rows(log, radii, rows)
    _over_seeds(rows)
    rows["published"] = beside(plan.study, rows)
    for name, columns in COLUMNS.items():
        present = dict.fromkeys([*columns, *(key for row in rows[name] for key in row)])
        frame = pd.DataFrame(rows[name], columns=list(present))
        spec = {"study": plan.study.name, "table": name}
        made = provenance(spec, code, files=[str(file) for file in plan.study.files])  # rs clean keeps them
        write_table(folder / f"{name}.parquet", pa.Table.from_pandas(frame, preserve_index=False), made)


def check_tables(plan: Plan) -> None:
    """Raises UserError unless each of the study's tables is there, is of this study and has its columns."""
    for path in plan.table_files():
        made = read_table(path, COLUMNS[path.stem])[1]
        if made.get("spec") != {"study": plan.study.name, "table": path.stem}:
            raise UserError(f"{path}: not the table {path.stem} of {plan.study.name}; {ADVICE}")


def _smoothing(noise: dict[str, Any]) -> dict[str, Any]:
    return {"smoothing": describe(noise), "smoothing_sigma": float(noise.get("sigma", np.nan))}


def _training_rows(planned: PlannedRun, head: dict[str, Any], rows: Rows) -> None:
    manifest = read_model_manifest(planned.folder / "model.json")["provenance"]
    spec = planned.spec
    row = {
        **head,
        "dataset": spec["data"]["name"],
        "model": spec["model"]["name"],
        "objective": spec["objective"]["name"],
        "noise": spec["noise"]["name"],
        "sigma": spec["noise"].get("sigma"),
        "seed": spec["seed"],
        "epochs": manifest["epochs"],
        "train_seconds": manifest["train_seconds"],
        "device": manifest["device"],
        "precision": manifest["precision"],
    }
    row |= {f"resolved.{k}": v for k, v in manifest["resolved"].items()}
    for section, kind in {"model": "models", "objective": "objectives", "noise": "noises"}.items():
        filled = defaults(method_schema(kind, spec[section]["name"]), spec[section])
        row |= {f"{section}.{k}": v for k, v in _flat(filled).items() if k != "name"}
    filled = {k: v for k, v in planned.run.sections["training"].items() if k not in NOT_IDENTITY}
    row |= {f"training.{k}": v for k, v in _flat(filled).items()}
    rows["runs"].append(row)
    metrics, _ = read_table(planned.folder / "training.parquet", ("epoch", "loss"))
    rows["training"] += [{**head, **r} for r in metrics.to_pylist()]


def _training_gamma(planned: PlannedRun) -> float | None:
    """The price that the run's objective (NAL, WRM) trained at."""
    objective = planned.spec.get("objective")
    if not objective or not (told := method_schema("objectives", objective["name"])).get("x-calibrates"):
        return None
    return float(defaults(told, objective)["gamma"])


def _imported_row(planned: PlannedRun) -> dict[str, Any]:
    """What is known of a model that somebody else trained; `noise` is the one that its user states."""
    spec, noise = planned.spec, planned.run.sections["noise"]
    row = {"dataset": spec["data"]["name"], "model": spec["model"]["name"], "objective": "imported"}
    row |= {"noise": noise["name"], "sigma": noise.get("sigma"), "seed": planned.run.seed}
    return row | {f"model.{k}": v for k, v in _flat(spec["model"]["imported"]).items()}


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested hyperparameters as dotted columns; lists as text."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            out |= _flat(item, f"{prefix}{key}.")
        else:
            out[prefix + key] = str(item) if isinstance(item, list) else item
    return out


def _certified_rows(
    path: Path, head: dict[str, Any], planned: PlannedRun, radii: list[float], rows: Rows
) -> None:
    frame, made = read_certified(path)
    precision = planned.run.sections["sampling"].get("precision", "float32")
    _claim_rows(frame, {**head, "precision": precision}, radii, rows, made.get("stop"))


def _log_rows(log: PlannedLog, radii: list[float], rows: Rows) -> None:
    """Somebody else's certification log as a run of its own, with what the study says about it."""
    frame = pd.DataFrame(images(read_log(log.path))).assign(**log.claim, factor=1.0)
    head = {"run": log.id, "label": log.label, **_smoothing(log.noise), "precision": None}
    _claim_rows(frame, head, radii, rows)


def _claim_rows(
    frame: pd.DataFrame,
    head: dict[str, Any],
    radii: list[float],
    rows: Rows,
    stop: dict[str, Any] | None = None,
) -> None:
    """What `frame` claims, one row per certificate and image in the columns of a certified file.

    Votes that a rule stopped (`stop`) are counted by their mean, and what the rule did not ask for, all radii
    but its own and every average, is a lower bound: more votes would have raised it. `largest_radius` is the
    most that the certificate could have said, with all votes for one class (not known of others' logs).
    """
    rule = Stop(**stop) if stop else None
    for certificate, group in frame.groupby("certificate", sort=False):
        first = group.iloc[0]
        radius = group["radius"].to_numpy()
        correct = (group["prediction"] == group["label"]).to_numpy()
        claim = {**head, "certificate": certificate, "norm": first["norm"], "images": len(group)}
        claim |= {"alpha": first["alpha"], "n": round(group["n"].mean()), "rigorous": bool(first["rigorous"])}
        claim |= {"largest_radius": float(first.get("largest_radius", np.nan))}
        claim |= {"stopping": f"sequential, α = {rule.alpha:g}" if rule else None}
        asked = rule.radii if rule and first["decided"] else ()
        certified = np.sort(np.where(correct, radius, -1.0))
        curve = {k: claim[k] for k in COLUMNS["radius_accuracy"] if k in claim}
        grid = np.linspace(0, max(1.02 * certified[-1], 1e-3), CURVE_POINTS)
        for name, at, told in (("certified_accuracy", radii, claim), ("radius_accuracy", grid, curve)):
            hits = len(certified) - np.searchsorted(certified, at, side="left")
            low, high = wilson_interval(hits, np.full(len(hits), len(certified)))
            shares = (float(first["factor"]) * v for v in (hits / len(certified), low, high))
            for r, share, below, above in zip(at, *shares, strict=True):
                accuracy = {"radius": float(r), "certified_accuracy": float(share)}
                if name == "certified_accuracy":
                    accuracy["lower_bound"] = bool(rule) and not np.isclose(r, asked).any()
                rows[name].append(told | accuracy | {"low": float(below), "high": float(above)})
        mean, low_acr, high_acr = t_interval(np.where(correct, radius, 0.0))
        acr = {"acr": mean, "low": low_acr, "high": high_acr, "lower_bound": bool(rule)}
        rows["average_certified_radius"].append(claim | acr)


def _over_seeds(rows: Rows) -> None:
    """Mean and spread over the seeds of one label, where it has several."""
    values = {"certified_accuracy": "certified_accuracy", "average_certified_radius": "acr"}
    for name, value in values.items():
        if not rows[name]:
            continue
        keys = [c for c in COLUMNS[f"{name}_over_seeds"] if c not in ("mean", "std", "seeds")]
        grouped = pd.DataFrame(rows[name]).groupby(keys, sort=False, dropna=False)[value]
        summary = grouped.agg(mean="mean", std="std", seeds="count").reset_index()
        records = [{str(k): v for k, v in r.items()} for r in summary.to_dict("records")]
        rows[f"{name}_over_seeds"] = [r for r in records if r["seeds"] > 1]
