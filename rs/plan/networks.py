"""From a study's runs to the jobs that make and observe their networks: ids, specs, references. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.plan.jobs import Job, PlannedRun, noise_slug, slug
from rs.plan.observations import Observer
from rs.provenance.digests import digest, file_digest
from rs.study import refusals
from rs.study.schema import class_of, method_schema, prune, schema, section, study_section
from rs.study.study import Run, Study

NOT_IDENTITY = ("device", "threads", "processes", "workers")  # of a training: where it runs
References = dict[str, Path]  # parameter of an objective -> the calibration that its value comes from


@dataclass
class Networks:
    """Plans each run once, and those that it names; `add` takes each job into the plan."""

    study: Study
    data_id: str
    data_manifest: Path
    data_facts: dict[str, Any]
    add: Callable[[Job], Job]
    _planned: dict[tuple[str, int], PlannedRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.observer = Observer(self.study, self.data_manifest, self.data_facts, self.add, self._source)

    def plan(self, run: Run, above: tuple[str, ...] = ()) -> PlannedRun:
        """The run with its jobs. `above` are the labels whose references led to it."""
        key = (run.label, run.seed)
        if key in self._planned:
            return self._planned[key]
        if run.kind == "imported":
            return self._import(run)
        if run.label in above:
            circle = " -> ".join([*above, run.label])
            self.study.fail((*run.place, "objective"), f"references go in a circle: {circle}")
        refusals.check_run(self.study, run, self.data_facts)
        spec, references = self._spec(run, above)
        names = (self.data_id, spec["model"]["name"], spec["objective"]["name"])
        words = (*names, noise_slug(spec["noise"]), f"seed{run.seed}")
        planned = PlannedRun(run, f"{slug(*words)}-{digest(spec)}", spec)
        self._planned[key] = planned
        kinds = (("models", "model"), ("noises", "noise"), ("objectives", "objective"))
        classes = tuple(class_of(kind, spec[part]) for kind, part in kinds)
        self.add(self._training(planned, references, classes))
        if run.sections["calibration"] is not None:
            planned.calibration = self._calibration(planned, classes)
        self.observer.observe(planned, classes[:1])
        return planned

    def _spec(self, run: Run, above: tuple[str, ...]) -> tuple[dict[str, Any], References]:
        """What a training's id is made of: a reference enters it as the reference, never as the value."""
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
        return spec | ({"train": train} if train else {}), references

    def _training(self, planned: PlannedRun, references: References, classes: tuple[str, ...]) -> Job:
        where = {key: planned.run.sections["training"][key] for key in NOT_IDENTITY}
        return Job(
            "train",
            planned.spec,
            classes,
            planned.id,
            inputs={"data": self.data_manifest, "calibrations": references},
            outputs={
                "manifest": planned.folder / "model.json",
                "weights": planned.folder / "model.safetensors",
                "metrics": planned.folder / "training.parquet",
            },
            **where,
        )

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
        planned = self.plan(target, above)
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
        return self.plan(self._named(run, place, label))

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
