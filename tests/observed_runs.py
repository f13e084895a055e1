"""Files with outcomes that a test makes up: radii and attacks of a plan's runs in their places, and logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from rs.plan.plan import Plan
from rs.provenance.files import provenance, write_json, write_table
from rs.settings.labels import certificate_label
from rs.study.certification_log import Log, write_log
from rs.study.study import Run

NETWORK = "digest of its weights"


def observe(
    plan: Plan,
    radii: Callable[[Run], Sequence[float]],
    attacked: Callable[[Run], Sequence[bool]] | None = None,
    under: Callable[[dict[str, Any]], Sequence[bool]] | None = None,
) -> None:
    """`radii`: of the images in order, -1 where the prediction is wrong. `attacked`: whether the attacks of
    the tiny study, at radius 0.5, change each prediction; `under` says so by the attack's spec.
    """
    for planned in plan.runs:
        made = {**provenance(planned.spec, "code"), "epochs": 1, "train_seconds": 1.0, "device": "cpu"}
        made |= {"precision": "float32", "resolved": {}}
        manifest = {"provenance": made, "classes": 10, "sha256": NETWORK, "run": planned.id}
        write_json(planned.folder / "model.json", manifest)
        write_table(planned.folder / "training.parquet", pa.table({"epoch": [1], "loss": [0.5]}), made)
        for observation in planned.observations:
            if observation.certified:
                spec = plan.job("certify", str(observation.certified)).spec
                stop = {"stop": spec["stop"]} if "stop" in spec else {}
                write_table(
                    observation.certified, _certified(spec, radii(planned.run)), _of(spec, form={}, **stop)
                )
            for path in observation.attacks:
                spec = plan.job("attack", str(path)).spec
                broken = under(spec) if under else attacked(planned.run) if attacked else [False] * 3
                metadata = {"norm": 2.0, "judge": 32, "shape": [1, 1, 1], "classes": 10, "samples": 2}
                metadata |= {"access": "white-box", "shares": "none"}
                write_table(path, _attacked(broken), _of(spec, **metadata))


def observed_pair(plan_of: Callable[..., Plan], study: dict[str, Any], least: float) -> Plan:
    """The plan of the tiny study, where NAL's radii are 0.1 larger than those of Gaussian training, from
    `least` on, and attacks break one image of Gaussian training.
    """
    study["runs"].get("nal", {}).pop("calibration", None)
    plan, shift = plan_of(study), {"gaussian": 0.0, "nal": 0.1}
    observe(
        plan,
        lambda run: [least + 0.01 * run.seed + shift[run.label] + 0.05 * i for i in range(6)],
        lambda run: [run.label == "gaussian", False, False],
    )
    return plan


def write_radii(path: Path, radii: ArrayLike, images: Iterable[int] | None = None) -> None:
    """A certification log of images 0, 1, ... or of `images`; a radius below 0 is of a wrong prediction."""
    r = np.array(radii, np.float64)
    at = np.arange(len(r)) if images is None else np.array(list(images))
    labels, wrong = np.ones(len(r), int), r < 0
    write_log(path, Log(at, labels, labels + wrong, np.maximum(r, 0), ~wrong, np.zeros(len(r))))


def _of(spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**provenance(spec, "code"), "model": NETWORK, **more}


def _certified(spec: dict[str, Any], radii: Sequence[float]) -> pa.Table:
    parts = []
    for certificate in spec["certificates"]:
        size = len(radii)
        columns: dict[str, Any] = {
            "certificate": [certificate_label(certificate)] * size,
            "norm": [2.0] * size,
        }
        columns |= {"alpha": [certificate["alpha"]] * size, "n": [spec["n"]] * size, "factor": [1.0] * size}
        columns |= {
            "rigorous": [True] * size,
            "decided": [True] * size,
            "image": list(range(size)),
            "label": [1] * size,
        }
        columns |= {"prediction": [2 if r < 0 else 1 for r in radii], "radius": [max(r, 0.0) for r in radii]}
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def _attacked(broken: Sequence[bool]) -> pa.Table:
    rows = [
        {"image": i, "label": 1, "radius": r, "prediction": 2 if b and r else 1, "distortion": r}
        | {"success": bool(b and r), "steps": 2, "votes": ([0, 2, 30] if b and r else [0, 30, 2]) + [0] * 7}
        | {"variant": "", "clean": None, "noisy": None, "attacked": None}
        for r in (0.0, 0.5)
        for i, b in enumerate(broken)
    ]
    return pa.Table.from_pylist(rows)
