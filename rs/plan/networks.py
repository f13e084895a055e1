"""From a study's runs to the jobs that make and observe their networks: ids, specs, references. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.plan.jobs import Job, PlannedRun, noise_slug, slug
from rs.plan.observations import Observer
from rs.plan.shard_sizes import Kept
from rs.plan.sharing import NOT_IDENTITY, Sharing, imported_part, joined_part, training_part
from rs.provenance.digests import digest
from rs.settings.training import Calibrated
from rs.study import joined, refusals, sampling_refusals
from rs.study.calibration_refusals import check_reading
from rs.study.schema import class_of, method_schema, prune, section, study_section
from rs.study.study import Run, Study

Parts = dict[str, PlannedRun]  # parameter of a model or an objective -> the run that it names


@dataclass
class References:
    """Other runs' files that a training needs, by the objective's parameter: calibrations and networks."""

    calibrations: dict[str, Path] = field(default_factory=dict)
    networks: Parts = field(default_factory=dict)


@dataclass
class Networks:
    """Plans each run once, and the runs that it names; `add` takes each job into the plan."""

    study: Study
    data_id: str
    data_manifest: Path
    data_facts: dict[str, Any]
    add: Callable[[Job], Job]
    kept: Kept
    _planned: dict[tuple[str, int], PlannedRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sharing = Sharing(self.study)
        known = (self.study, self.data_manifest, self.data_facts, self.add)
        self.observer = Observer(*known, self._source, self._beside, self.kept)

    def plan(self, run: Run, above: tuple[str, ...] = ()) -> PlannedRun:
        """The run with its jobs. `above` are the labels whose references led to it."""
        key = (run.label, run.seed)
        if key in self._planned:
            return self._planned[key]
        if run.kind == "imported":
            return self._import(run)
        if run.label in above:
            circle, section = " -> ".join([*above, run.label]), "objective" if run.trained else "model"
            self.study.fail((*run.place, section), f"references go in a circle: {circle}")
        refusals.check_run(self.study, run, self.data_facts)
        if not run.trained:
            return self._join(run, (*above, run.label))
        spec, references = self._spec(run, above)
        names = (self.data_id, spec["model"]["name"], spec["objective"]["name"])
        words = (*names, noise_slug(spec["noise"]), f"seed{run.seed}")
        planned = self._take(run, f"{slug(*words)}-{digest(spec)}", spec)
        kinds = (("models", "model"), ("noises", "noise"), ("objectives", "objective"))
        classes = tuple(class_of(kind, spec[part]) for kind, part in kinds)
        used = (name for part in references.networks.values() for name in part.classes)
        self.add(self._training(planned, references, (*classes, *used)))
        if run.sections["calibration"] is not None:
            planned.calibration = self._calibration(planned, classes)
        self._observe(planned, classes[:1])
        return planned

    def _take(
        self, run: Run, network: str, spec: dict[str, Any], denoisers: tuple[Run, ...] = ()
    ) -> PlannedRun:
        """Records the planned run under its label and seed."""
        planned = PlannedRun(run, network, spec, self._sharing.id(run, network), denoisers=denoisers)
        self._planned[run.label, run.seed] = planned
        return planned

    def _spec(self, run: Run, above: tuple[str, ...]) -> tuple[dict[str, Any], References]:
        """The specification that a training's id is made of. A reference enters it as the reference, never as
        the value.
        """
        part = training_part(run)
        objective, references = dict(part["objective"]), References()
        for parameter, value in objective.items():
            if isinstance(value, dict) and "calibrated" in value:
                cost = value.get("cost", Calibrated.cost)
                referred = (value["calibrated"], cost, (*above, run.label))
                target, calibration = self._referred(run, parameter, *referred)
                objective[parameter] = {"calibrated": f"{target.network}/{calibration.stem}", "cost": cost}
                references.calibrations[parameter] = calibration
        references.networks = self._parts(run, "objective", (*above, run.label))
        objective |= {key: part.network for key, part in references.networks.items()}
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
            inputs={
                "data": self.data_manifest,
                "calibrations": references.calibrations,
                **_files(references.networks, "networks"),
            },
            outputs={
                "manifest": planned.manifest,
                "weights": planned.weights,
                "metrics": planned.folder / "training.parquet",
            },
            **where,
        )

    def _import(self, run: Run) -> PlannedRun:
        """A model that somebody else trained. Its id holds the digest of its file and how it is built."""
        refusals.check_imported(self.study, run, self.data_facts)
        weights, imported = Path(run.sections["weights"]), imported_part(run)
        classes: tuple[str, ...] = ()
        if "architecture" in imported:
            classes = (method_schema("models", imported["architecture"]["name"])["x-class"],)
        name = imported["entry"] if "entry" in imported else imported["architecture"]["name"]
        spec = {
            "model": {"name": name, "imported": imported},
            "data": self.study.data,
            "sha256": self._sharing.file_digest(weights),
            **({"chance": True} if "allow" in imported else {}),
        }
        planned = self._take(run, f"{slug('imported', self.data_id, weights.stem)}-{digest(spec)}", spec)
        outputs = {"manifest": planned.manifest, "weights": planned.weights}
        inputs = {"data": self.data_manifest, "weights": weights}
        self.add(Job("import", spec, classes, planned.id, inputs, outputs))
        self._observe(planned, classes)
        return planned

    def _join(self, run: Run, above: tuple[str, ...]) -> PlannedRun:
        """A model that joins networks of other runs. Its id holds theirs, so digests of imported weights."""
        parts = self._parts(run, "model", above)
        spec: dict[str, Any] = {"model": joined_part(run, len(parts)), "data": self.study.data}
        classes, denoisers = [class_of("models", run.sections["model"])], list[Run]()
        for key, part in parts.items():
            member = {"run": part.network, "model": part.spec["model"]}
            if (output := joined.output_of(part.run)) == "noise":  # its time step is that of this level
                member["sigma"] = part.run.sections["noise"].get("sigma")  # other noise is refused
            denoisers += [part.run] if output != "logits" else part.denoisers
            classes += part.classes
            name, _, number = key.partition(".")
            spec["model"][name] = [*spec["model"].get(name, ()), member] if number else member
        if any("chance" in part.spec for part in parts.values()):
            spec["chance"] = True
        joined.check_members(self.study, run, {key: part.run for key, part in parts.items()})
        for denoiser in denoisers:
            joined.check_denoiser(self.study, run, denoiser)
        counts = Counter(part.spec["model"]["name"] for part in parts.values())
        words = [f"{number}x-{name}" if number > 1 else name for name, number in counts.items()]
        named = slug("joined", self.data_id, *words, noise_slug(run.sections["noise"]), f"seed{run.seed}")
        for (_, seed), other in self._planned.items():
            if other.spec == spec and other.run.label == run.label:
                problem = f"{seed} and {run.seed} join the same networks; give this run one seed"
                self.study.fail((*run.place, "seeds"), problem)
        planned = self._take(run, f"{named}-{digest(spec)}", spec, tuple(denoisers))
        inputs = {"data": self.data_manifest, **_files(parts, "parts")}
        outputs = {"manifest": planned.manifest, "weights": planned.weights}
        executed = tuple(dict.fromkeys(classes))
        self.add(Job("join", spec, executed, planned.id, inputs, outputs))
        self.observer.observe(planned, executed)
        return planned

    def _parts(self, run: Run, section: str, above: tuple[str, ...]) -> Parts:
        """The planned runs whose networks the model or the objective of `run` names; those of a list as
        `members.0`, `members.1`, ... in its order.
        """
        method, parts = run.sections[section], Parts()
        for key, gives in joined.networks_of(f"{section}s", method).items():
            place, value = (*run.place, section, key), method[key]
            if isinstance(value, str):
                named = [(key, place, self._named(run, place, value))]
            else:
                several = joined.members(self.study, place, value)
                named = [(f"{key}.{i}", where, member) for i, (where, member) in enumerate(several)]
            for name, where, target in named:
                parts[name] = self.plan(target, above)
                whose = f"the {key}" if name == key else f"each of {key}"
                joined.check_output(self.study, where, parts[name].run, gives, whose)
        return parts

    def _observe(self, planned: PlannedRun, classes: tuple[str, ...]) -> None:
        """Plans the jobs that observe a network. A denoiser has none; other runs are observed with it."""
        if joined.output_of(planned.run) == "logits":
            self.observer.observe(planned, classes)
            return
        planned.classes, planned.inputs = classes, planned.read_by(self.data_manifest)

    def _referred(
        self, run: Run, parameter: str, label: str, cost: str, above: tuple[str, ...]
    ) -> tuple[PlannedRun, Path]:
        """The run that a parameter refers to (with the same seed, or its only one), and its calibration."""
        place = ("runs", run.label, "objective", parameter)
        target = self._named(run, place, label, "calibrated: ")
        if target.sections["calibration"] is None:
            self.study.fail(place, f"calibrated: run {label!r} has no `calibration`")
        check_reading(self.study, place, target, cost)
        planned = self.plan(target, above)
        assert planned.calibration is not None
        return planned, planned.calibration

    def _named(self, run: Run, place: tuple[Any, ...], label: str, key: str = "") -> Run:
        """The run labelled `label` with the seed of `run`, or its only one."""
        labelled = joined.labelled(self.study, place, label, key)
        same = [r for r in labelled if r.seed == run.seed] or (labelled if len(labelled) == 1 else [])
        if not same:
            self.study.fail(place, f"{key}run {label!r} has no seed {run.seed}")
        return same[0]

    def _source(self, run: Run, place: tuple[Any, ...], label: str) -> PlannedRun:
        """The run that a transfer attack names. Two runs may attack each other: only networks are needed."""
        source = self._named(run, place, label)
        joined.check_output(self.study, place, source, "logits", "an attack")
        return self.plan(source)

    def _beside(self, run: Run) -> PlannedRun:
        """The run from whose answers `run` starts (`sampling.source`)."""
        place = (*run.place, "sampling", "source")
        source = self._named(run, place, run.sections["sampling"]["source"])
        joined.check_output(self.study, place, source, "logits", "sampling.source")
        sampling_refusals.check_source(self.study, run, source)
        return self.plan(source)

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
                inputs=planned.read_by(self.data_manifest),
                outputs={"calibration": path},
                device=sections["training"]["device"],
                threads=sections["training"]["threads"],
            )
        )
        return path


def _files(parts: Parts, manifests: str) -> dict[str, Any]:
    """Inputs of a job that reads networks of runs: manifests, under the key `manifests`, and weights."""
    return {
        "weights": {key: part.weights for key, part in parts.items()},
        manifests: {key: part.manifest for key, part in parts.items()},
    }
