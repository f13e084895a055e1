"""From a checked study to its jobs: ids, paths, specs and code digests of every stage. No torch.

The rules look everything up here, and so does `rs <stage> --study`: a path is written down once. Results that
studies can share lie in results/runs/<id>/ under keys that are digests of their specs; results/<study>/ is
derived from them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan.graph import JobGraph
from rs.plan.jobs import RESULTS, Job, PlannedLog, PlannedRun, noise_slug, slug
from rs.plan.observations import Observer
from rs.provenance.digests import digest, file_digest
from rs.study import refusals, tracking_place
from rs.study.certification_log import read_log
from rs.study.claims import check_claims
from rs.study.published import check_published
from rs.study.schema import data_facts, method_schema, prune, schema, section, study_section
from rs.study.study import Run, Study

TABLES = (
    "runs",
    "training",
    "certified_accuracy",
    "radius_accuracy",
    "average_certified_radius",
    "certified_accuracy_over_seeds",
    "average_certified_radius_over_seeds",
    "empirical_accuracy",
    "attack_checks",
    "calibration",
    "distributional",
    "worst_cases",
    "bound_checks",
    "published",
    "claims",
    "examples",
    "images",
    "thumbnails",
)
NOT_IDENTITY = ("device", "threads", "processes", "workers")  # of a training: where it runs


class Plan(JobGraph):
    """All jobs of a study by stage and by the first of their outputs."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self.study = study
        name = study.data["name"]
        self.data_facts = data_facts(study.data)
        words = slug(name, Path(study.data.get("folder", "")).name)
        self.data_id = words if study.data == {"name": name} else f"{words}-{digest(study.data)}"
        folder = RESULTS / "data" / self.data_id
        self.data_manifest = folder / "manifest.json"
        self.add(
            Job(
                "data",
                {"data": study.data},
                (self.data_facts["x-class"],),
                outputs={
                    "manifest": self.data_manifest,
                    "train": folder / "train.safetensors",
                    "test": folder / "test.safetensors",
                },
                data_dir=study.data_dir,
            )
        )
        for split, images in (("train", study.train), ("test", study.test)):
            refusals.check_subset(study, (split,), images, self.data_facts["x-sizes"][split], split)
        self.observer = Observer(study, self.data_manifest, self.data_facts, self.add, self._source)
        self._planned: dict[tuple[str, int], PlannedRun] = {}
        self.runs = [self._plan(run, ()) for run in study.runs]
        self.logs = [self._log(label, entry) for label, entry in study.logs.items()]
        self._refuse_double_labels()
        check_published(study)
        check_claims(study, TABLES)
        tracking_place.check_address(study)

    # --- what the rules ask for ---

    @property
    def folder(self) -> Path:
        return RESULTS / self.study.name

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def table_files(self) -> list[Path]:
        return [self.tables / f"{name}.parquet" for name in TABLES]

    def aggregated_files(self) -> list[Path]:
        """Every file of a run that the tables are made from."""
        of_runs = [path for planned in self.runs for path in self.tabled_files(planned.id)]
        return of_runs + [log.path for log in self.logs]

    @property
    def summary(self) -> str:
        """What the tables show beyond the files they are made from."""
        runs = [
            [
                p.id,
                p.run.label,
                [[a.get("label"), a.get("certificate")] for a in p.run.sections["attacks"]],
                p.run.sections["sampling"].get("precision"),
                p.run.sections["distributional"],
            ]
            for p in self.runs
        ]
        study = self.study
        told = {"report": {"radii": study.report["radii"]}, "published": study.published, "logs": study.logs}
        told |= {"papers": study.papers, "agreement": study.agreement, "claims": study.claims}
        return digest({"runs": runs, **told}, 16)

    @property
    def described(self) -> str:
        """What the report says beyond the tables."""
        return digest([self.study.name, self.study.description, self.study.report], 16)

    @functools.cached_property
    def tables_lineage(self) -> str:
        """Digest of the files that the tables are made from and of the code of all jobs that led to them."""
        jobs = [job for job in self.all_jobs() if job.declared.tabled]
        return digest([list(map(str, self.aggregated_files())), sorted(map(self.lineage, jobs))], 16)

    # --- one run ---

    def _plan(self, run: Run, above: tuple[str, ...]) -> PlannedRun:
        key = (run.label, run.seed)
        if key in self._planned:
            return self._planned[key]
        if run.kind == "imported":
            return self._import(run)
        place = run.place
        if run.label in above:
            self.study.fail(
                (*place, "objective"), f"references go in a circle: {' -> '.join([*above, run.label])}"
            )
        refusals.check_run(self.study, run, self.data_facts)
        sections, properties = run.sections, schema()["$defs"]["run"]["properties"]
        part = {k: prune(sections[k], properties[k]) for k in ("model", "objective", "noise", "training")}
        part["training"] = {k: v for k, v in part["training"].items() if k not in NOT_IDENTITY}
        objective, references = dict(part["objective"]), {}
        for parameter, value in objective.items():
            if isinstance(value, dict) and "calibrated" in value:
                target, calibration = self._referred(run, parameter, value["calibrated"], (*above, run.label))
                objective[parameter] = {
                    "calibrated": f"{target.id}/{calibration.stem}",
                    "cost": value.get("cost", "without_noise"),
                }
                references[parameter] = calibration
        spec = {**part, "objective": objective, "data": self.study.data, "seed": run.seed}
        train = prune(self.study.train, study_section("train"))
        spec |= {"train": train} if train else {}
        words = (
            self.data_id,
            part["model"]["name"],
            objective["name"],
            noise_slug(part["noise"]),
            f"seed{run.seed}",
        )
        planned = PlannedRun(run, f"{slug(*words)}-{digest(spec)}", spec)
        self._planned[key] = planned
        training = sections["training"]
        model_classes = (method_schema("models", part["model"]["name"])["x-class"],)
        noise_classes = (method_schema("noises", part["noise"]["name"])["x-class"],)
        objective_classes = (method_schema("objectives", objective["name"])["x-class"],)
        self.add(
            Job(
                "train",
                spec,
                (*model_classes, *noise_classes, *objective_classes),
                planned.id,
                inputs={"data": self.data_manifest, "calibrations": references},
                outputs={
                    "manifest": planned.folder / "model.json",
                    "weights": planned.folder / "model.safetensors",
                    "metrics": planned.folder / "training.parquet",
                },
                device=training["device"],
                threads=training["threads"],
                processes=training["processes"],
                workers=training["workers"],
            )
        )
        if sections["calibration"] is not None:
            planned.calibration = self._calibration(
                planned, (*model_classes, *noise_classes, *objective_classes)
            )
        self.observer.observe(planned, model_classes)
        return planned

    def _import(self, run: Run) -> PlannedRun:
        """A model that somebody else trained: its id holds the digest of its file and how it is built."""
        refusals.check_imported(self.study, run, self.data_facts)
        sections, weights = run.sections, Path(run.sections["weights"])
        keys = ("entry", "architecture", "format", "key", "normalization")
        imported = {k: sections[k] for k in keys if sections[k] is not None}
        imported |= {"allow": ["chance"]} if sections["allow"] else {}
        classes: tuple[str, ...] = ()
        if "architecture" in imported:
            model = schema()["$defs"]["run"]["properties"]["model"]
            imported["architecture"] = prune(imported["architecture"], model)
            classes = (method_schema("models", imported["architecture"]["name"])["x-class"],)
        else:
            # the function's own file, if it lies in the working directory; its imports are not followed
            code = Path(*imported["entry"].partition(":")[0].split(".")).with_suffix(".py")
            imported |= {"entry_sha256": file_digest(code)} if code.is_file() else {}
        name = imported["entry"] if "entry" in imported else imported["architecture"]["name"]
        spec = {
            "model": {"name": name, "imported": imported},
            "data": self.study.data,
            "sha256": file_digest(weights),
        }
        planned = PlannedRun(run, f"{slug('imported', self.data_id, weights.stem)}-{digest(spec)}", spec)
        self._planned[run.label, run.seed] = planned
        outputs = {"manifest": planned.folder / "model.json", "weights": planned.folder / "model.safetensors"}
        inputs = {"data": self.data_manifest, "weights": weights}
        self.add(Job("import", spec, classes, planned.id, inputs, outputs))
        self.observer.observe(planned, classes)
        return planned

    def _referred(
        self, run: Run, parameter: str, label: str, above: tuple[str, ...]
    ) -> tuple[PlannedRun, Path]:
        """The run that a parameter refers to (with the same seed, or its only one), and its calibration."""
        place = ("runs", run.label, "objective", parameter)
        target = self._named(run, place, label, "calibrated: ")
        if target.sections["calibration"] is None:
            self.study.fail(place, f"calibrated: run {label!r} has no `calibration`")
        planned = self._plan(target, above)
        assert planned.calibration is not None
        return planned, planned.calibration

    def _named(self, run: Run, place: tuple[Any, ...], label: str, key: str = "") -> Run:
        """The run labelled `label` with the seed of `run`, or its only one."""
        found = [r for r in self.study.all_runs if r.label == label]
        if not found:
            labels = ", ".join(dict.fromkeys(r.label for r in self.study.all_runs))
            self.study.fail(place, f"{key}no run is labelled {label!r}; runs: {labels}")
        same = [r for r in found if r.seed == run.seed] or (found if len(found) == 1 else [])
        if not same:
            self.study.fail(place, f"{key}run {label!r} has no seed {run.seed}")
        return same[0]

    def _source(self, run: Run, place: tuple[Any, ...], label: str) -> PlannedRun:
        """The run that a transfer attack names. Two runs may attack each other: only networks are needed."""
        return self._plan(self._named(run, place, label), ())

    def _calibration(self, planned: PlannedRun, classes: tuple[str, ...]) -> Path:
        sections, name = planned.run.sections, planned.spec["objective"]["name"]
        if not method_schema("objectives", name).get("x-calibrates"):
            self.study.fail(
                ("runs", planned.run.label, "calibration"), f"objective {name} has no gamma to calibrate with"
            )
        settings = prune(sections["calibration"], section("calibration"))
        path = planned.folder / "calibration" / f"{digest(settings)}.json"
        self.add(
            Job(
                "calibrate",
                settings,
                classes,
                planned.id,
                inputs={
                    "data": self.data_manifest,
                    "model": planned.folder / "model.json",
                    "weights": planned.folder / "model.safetensors",
                },
                outputs={"calibration": path},
                device=sections["training"]["device"],
                threads=sections["training"]["threads"],
            )
        )
        return path

    def _log(self, label: str, entry: dict[str, Any]) -> PlannedLog:
        """A log, read through once so that a malformed line is named before any job starts."""
        refusals.check_log(self.study, label, entry)
        path, facts = Path(entry["file"]), method_schema("certificates", entry["certificate"])
        read_log(path)
        claim = {
            "certificate": entry["certificate"],
            "norm": float(facts["x-norms"][entry["noise"]["name"]]),
            "alpha": entry["alpha"],
            "n": entry["n"],
            "rigorous": False,  # somebody else's procedure and rounding, which nothing here can check
        }
        noise = prune(entry["noise"], schema()["$defs"]["run"]["properties"]["noise"])
        return PlannedLog(label, f"log-{slug(label)}-{file_digest(path)[:8]}", path, noise, claim)

    def _refuse_double_labels(self) -> None:
        seen: dict[str, str] = {}
        for planned in self.runs:
            other = seen.setdefault(planned.id, planned.run.label)
            if other != planned.run.label:
                raise UserError(
                    f"{self.study.files[0]}: runs.{planned.run.label}: trains exactly what {other} trains; "
                    "give one run several `smoothing` noises instead"
                )
