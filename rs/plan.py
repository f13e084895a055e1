"""From a checked study to its jobs: ids, paths, specs and code digests of every stage. No torch.

The rules look everything up here, and so does `rs <stage> --study`: a path is written down once. Results that studies
can share lie in results/runs/<id>/ under keys that are digests of their specs; results/<study>/ is derived from them.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.interfaces import UserError
from rs.draws import draw_file, files_of
from rs.provenance import code_digest, digest, dumps
from rs.spec import Subset
from rs.study import Run, Study, defaults, method_schema, prune, schema

RESULTS = Path("results")
TABLES = (
    "runs",
    "training",
    "certified_accuracy",
    "average_certified_radius",
    "certified_accuracy_over_seeds",
    "average_certified_radius_over_seeds",
    "empirical_accuracy",
    "calibration",
    "examples",
)
NOT_IDENTITY = {"training": ("device", "threads"), "sampling": ("device",)}


def slug(*parts: Any) -> str:
    """Readable part of an id: [a-z0-9-]+, with 0.25 written 0p25."""
    text = "-".join(str(int(p) if isinstance(p, float) and p.is_integer() else p) for p in parts)
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(\d)\.(\d)", r"\1p\2", text.lower())).strip("-")


def noise_slug(noise: dict[str, Any]) -> str:
    return slug(noise["name"], *(v for k, v in sorted(noise.items()) if k != "name"))


@dataclass
class Job:
    """One stage's work on one target: what enters its digest (`spec`, `code`) and where its files lie."""

    stage: str
    spec: dict[str, Any]
    modules: tuple[str, ...]
    run: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1

    @property
    def params(self) -> str:
        """The one tracked parameter of its rule: canonical JSON of its spec."""
        return dumps(self.spec)

    @functools.cached_property
    def code(self) -> str:
        return code_digest(self.modules)


@dataclass
class Observation:
    """One run smoothed with one noise: its draws, certified radii and attacks."""

    noise: dict[str, Any]
    certified: Path | None
    attacks: list[Path]


@dataclass
class PlannedRun:
    run: Run
    id: str
    spec: dict[str, Any]
    observations: list[Observation] = field(default_factory=list)
    calibration: Path | None = None

    @property
    def folder(self) -> Path:
        return RESULTS / "runs" / self.id


class Plan:
    """All jobs of a study by stage and by the first of their outputs."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.jobs: dict[str, dict[str, Job]] = {
            s: {} for s in ("data", "train", "calibrate", "sample", "certify", "attack")
        }
        name = study.data["name"]
        self.data_facts = method_schema("datasets", name)
        self.data_id = slug(name) if study.data == {"name": name} else f"{slug(name)}-{digest(study.data)}"
        folder = RESULTS / "data" / self.data_id
        self.data_manifest = folder / "manifest.json"
        self._add(
            Job(
                "data",
                {"data": study.data},
                ("rs.preparation", self.data_facts["x-module"]),
                outputs={
                    "manifest": self.data_manifest,
                    "train": folder / "train.safetensors",
                    "test": folder / "test.safetensors",
                },
            )
        )
        self._planned: dict[tuple[str, int], PlannedRun] = {}
        self.runs = [self._plan(run, ()) for run in study.runs]
        self._refuse_double_labels()

    # --- what the rules ask for ---

    @property
    def folder(self) -> Path:
        return RESULTS / self.study.name

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def table_files(self) -> list[Path]:
        return [self.tables / f"{name}.parquet" for name in TABLES]

    def draw_files(self, certify: Job) -> list[Path]:
        """Every draw file that a certify job reads."""
        spec, folder = certify.spec, certify.inputs["folder"]
        selection, estimation = files_of(folder, certify.inputs["shards"], spec["n0"], spec["n"], spec["block"])
        return [*selection, *(path for blocks in estimation for path in blocks)]

    def aggregated_files(self) -> list[Path]:
        """Every file of a run that the tables are made from."""
        found: list[Path] = []
        for planned in self.runs:
            found += [planned.folder / "model.json", planned.folder / "training.parquet"]
            found += [planned.calibration] if planned.calibration else []
            for observation in planned.observations:
                found += [observation.certified] if observation.certified else []
                found += observation.attacks
        return found

    @property
    def summary(self) -> str:
        """What the tables show beyond the files they are made from."""
        runs = [
            [p.id, p.run.label, [a.get("label") for a in p.run.sections["attacks"]], p.run.sections["sampling"]]
            for p in self.runs
        ]
        return digest({"runs": runs, "report": self.study.report}, 16)

    @property
    def described(self) -> str:
        """What the report says beyond the tables."""
        return digest([self.study.name, self.study.description, self.study.report], 16)

    def code(self, *modules: str) -> str:
        return code_digest(modules)

    def _add(self, job: Job) -> Job:
        return self.jobs[job.stage].setdefault(str(next(iter(job.outputs.values()))), job)

    def job(self, stage: str, target: str) -> Job:
        return self.jobs[stage][str(target)]

    # --- one run ---

    def _plan(self, run: Run, above: tuple[str, ...]) -> PlannedRun:
        key = (run.label, run.seed)
        if key in self._planned:
            return self._planned[key]
        place = ("runs", run.label)
        if run.label in above:
            self.study.fail((*place, "objective"), f"references go in a circle: {' -> '.join([*above, run.label])}")
        sections, run_schema = run.sections, schema()["$defs"]["run"]
        part = {k: prune(sections[k], run_schema["properties"][k]) for k in ("model", "objective", "noise", "training")}
        part["training"] = {k: v for k, v in part["training"].items() if k not in NOT_IDENTITY["training"]}
        self._check_pairs(run, part)
        objective, references = dict(part["objective"]), {}
        for parameter, value in objective.items():
            if isinstance(value, dict) and "calibrated" in value:
                target = self._referred(run, parameter, value["calibrated"], (*above, run.label))
                assert target.calibration is not None
                objective[parameter] = {
                    "calibrated": f"{target.id}/{target.calibration.stem}",
                    "cost": value.get("cost", "without_noise"),
                }
                references[parameter] = target.calibration
        spec = {**part, "objective": objective, "data": self.study.data, "seed": run.seed}
        words = (self.data_id, part["model"]["name"], objective["name"], noise_slug(part["noise"]), f"seed{run.seed}")
        planned = PlannedRun(run, f"{slug(*words)}-{digest(spec)}", spec)
        self._planned[key] = planned
        training = sections["training"]
        model_modules = (method_schema("models", part["model"]["name"])["x-module"],)
        noise_modules = (method_schema("noises", part["noise"]["name"])["x-module"],)
        objective_modules = (method_schema("objectives", objective["name"])["x-module"],)
        self._add(
            Job(
                "train",
                spec,
                ("rs.training", *model_modules, *noise_modules, *objective_modules),
                planned.id,
                inputs={"data": self.data_manifest, "calibrations": references},
                outputs={
                    "manifest": planned.folder / "model.json",
                    "weights": planned.folder / "model.safetensors",
                    "metrics": planned.folder / "training.parquet",
                },
                device=training.get("device", "auto"),
                threads=training.get("threads", 1),
            )
        )
        if sections["calibration"] is not None:
            planned.calibration = self._calibration(planned, (*model_modules, *noise_modules, *objective_modules))
        smoothing = sections["smoothing"]
        for i, raw in enumerate([sections["noise"]] if smoothing is None else smoothing):
            noise = prune(raw, run_schema["properties"]["noise"])
            where = (*place, "noise") if smoothing is None else (*place, "smoothing", i)
            planned.observations.append(self._observe(planned, noise, where, model_modules))
        return planned

    def _check_pairs(self, run: Run, part: dict[str, Any]) -> None:
        place, shape = ("runs", run.label), self.data_facts["x-shape"]
        shapes = method_schema("models", part["model"]["name"])["x-shapes"]
        if shape not in shapes:
            takes = " or ".join("x".join(map(str, s)) for s in shapes)
            has = "x".join(map(str, shape))
            self.study.fail((*place, "model"), f"{part['model']['name']} takes {takes}; {self.study.data['name']} is {has}")
        objective, noise = method_schema("objectives", part["objective"]["name"]), part["noise"]["name"]
        if noise not in objective.get("x-noises", [noise]):
            allowed = ", ".join(objective["x-noises"])
            self.study.fail((*place, "noise"), f"{part['objective']['name']} trains under {allowed}, not {noise}")
        training = run.sections["training"]
        if training.get("keep") == "best_clean" and training.get("selection", "held_out") == "held_out":
            held, train = training.get("held_out", 0), self.data_facts["x-sizes"]["train"]
            if not 0 < held < train:
                self.study.fail(
                    (*place, "training", "held_out"), f"{held}: keep best_clean needs 1 to {train - 1} images to select on"
                )

    def _referred(self, run: Run, parameter: str, label: str, above: tuple[str, ...]) -> PlannedRun:
        place = ("runs", run.label, "objective", parameter)
        found = [r for r in self.study.all_runs if r.label == label]
        if not found:
            labels = ", ".join(dict.fromkeys(r.label for r in self.study.all_runs))
            self.study.fail(place, f"calibrated: no run is labelled {label!r}; runs: {labels}")
        same = [r for r in found if r.seed == run.seed] or (found if len(found) == 1 else [])
        if not same:
            self.study.fail(place, f"calibrated: run {label!r} has no seed {run.seed}")
        target = same[0]
        if target.sections["calibration"] is None:
            self.study.fail(place, f"calibrated: run {label!r} has no `calibration`")
        return self._plan(target, above)

    def _calibration(self, planned: PlannedRun, modules: tuple[str, ...]) -> Path:
        sections, name = planned.run.sections, planned.spec["objective"]["name"]
        if not method_schema("objectives", name).get("x-calibrates"):
            self.study.fail(("runs", planned.run.label, "calibration"), f"objective {name} has no gamma to calibrate with")
        settings = prune(sections["calibration"], _section("calibration"))
        path = planned.folder / "calibration" / f"{digest(settings)}.json"
        self._add(
            Job(
                "calibrate",
                settings,
                ("rs.calibration", *modules),
                planned.id,
                inputs={"data": self.data_manifest, "model": planned.folder / "model.json"},
                outputs={"calibration": path},
                device=sections["training"].get("device", "auto"),
                threads=sections["training"].get("threads", 1),
            )
        )
        return path

    # --- one run under one smoothing noise ---

    def _observe(self, planned: PlannedRun, noise: dict[str, Any], where: Any, modules: tuple[str, ...]) -> Observation:
        sections = planned.run.sections
        noise_module = method_schema("noises", noise["name"])["x-module"]
        sampling = defaults(_section("sampling"), sections["sampling"])
        form = {key: sampling[key] for key in ("precision", "batch", "compiled")}
        found = Observation(noise, None, [])
        if sections["certificates"]:
            certificates = [self._certificate(planned.run, i, noise, sampling, where) for i in range(len(sections["certificates"]))]
            spec = prune({"noise": noise, **form, "betas": sampling["betas"], "seed": sampling["seed"]}, {"properties": {}})
            key = f"{noise_slug(noise)}-{digest(spec)}"
            files = self._draw_jobs(planned, spec, key, sampling, (*modules, noise_module))
            certify = {
                "noise": noise,
                "certificates": certificates,
                "test": prune(self.study.test, {"properties": {"skip": {"default": 1}, "max": {"default": None}}}),
                "n0": sampling["n0"],
                "n": sampling["n"],
                "block": sampling["block"],
                "seed": sampling["seed"],
                "data_size": self._test_size(),
            }
            found.certified = planned.folder / "certified" / f"{key}-{digest(certify)}.parquet"
            certificate_modules = (method_schema("certificates", c["name"])["x-module"] for c in certificates)
            self._add(
                Job(
                    "certify",
                    certify,
                    ("rs.evaluation", noise_module, *certificate_modules),
                    planned.id,
                    inputs=files,
                    outputs={"certified": found.certified},
                )
            )
        for i, attack in enumerate(sections["attacks"]):
            found.attacks.append(self._attack(planned, i, attack, noise, form, (*modules, noise_module)))
        return found

    def _certificate(self, run: Run, i: int, noise: dict[str, Any], sampling: dict[str, Any], where: Any) -> dict[str, Any]:
        given, place = run.sections["certificates"][i], ("runs", run.label, "certificates", i)
        facts = method_schema("certificates", given["name"])
        if noise["name"] not in facts["x-norms"]:
            allowed = ", ".join(facts["x-norms"])
            self.study.fail(where, f"certificate {given['name']} has no theorem for noise {noise['name']}; it has for {allowed}")
        if any(v == 0 for k, v in noise.items() if k in ("sigma", "scale")):
            self.study.fail(where, f"certificate {given['name']} needs noise above 0")
        certificate = defaults(facts, given)
        if "soft_moments" in facts["x-needs"] and certificate.get("beta") not in sampling["betas"]:
            self.study.fail((*place, "beta"), f"{certificate.get('beta')}: must be one of sampling.betas {sampling['betas']}")
        needed = math.log(certificate["alpha"]) / math.log(0.5)
        if "counts" in facts["x-needs"] and sampling["n"] < needed:
            self.study.fail(
                ("runs", run.label, "sampling", "n"),
                f"{sampling['n']} votes certify nothing at alpha = {certificate['alpha']}; at least {math.ceil(needed)}",
            )
        pruned = prune(given, {"allOf": [{"if": {"properties": {"name": {"const": given["name"]}}}, "then": {"$ref": f"#/$defs/certificates/{given['name']}"}}]})
        return {**pruned, "alpha": certificate["alpha"]}

    def _draw_jobs(
        self, planned: PlannedRun, spec: dict[str, Any], key: str, sampling: dict[str, Any], modules: tuple[str, ...]
    ) -> dict[str, Any]:
        n0, n, block = sampling["n0"], sampling["n"], sampling["block"]
        if n % block:
            self.study.fail(
                ("runs", planned.run.label, "sampling", "n"),
                f"{n} is not a multiple of the block size {block} (sampling.block)",
            )
        folder = planned.folder / "draws" / key
        inputs = {"data": self.data_manifest, "model": planned.folder / "model.json", "weights": planned.folder / "model.safetensors"}
        device = sampling["device"]

        shards = []
        for images in self.shards(sampling["images_per_shard"]):
            shards.append(f"{images.start}-{images.stop}-{images.step}")
            for purpose, size, index in (("select", n0, 0), *(("estimate", block, b) for b in range(n // block))):
                extent = [images.start, images.stop, images.step]
                job = {**spec, "purpose": purpose, "images": extent, "size": size, "block": index}
                path = draw_file(folder, purpose, size, shards[-1], index)
                self._add(Job("sample", job, ("rs.sampling", *modules), planned.id, inputs, {"draws": path}, device))
        return {"folder": folder, "shards": shards}

    def _test_size(self) -> int:
        size: int = self.data_facts["x-sizes"]["test"]
        return size

    def shards(self, images_per_shard: int) -> Iterator[range]:
        """Image ranges of whole shards that hold the test subset: adding images adds ranges, and changes none."""
        size, subset = self._test_size(), Subset(**self.study.test)
        step, wanted = subset.skip, len(subset.positions(size))
        for first in range(0, wanted, images_per_shard):
            yield range(first * step, min((first + images_per_shard) * step, size), step)

    def _attack(
        self, planned: PlannedRun, i: int, given: dict[str, Any], noise: dict[str, Any], form: dict[str, Any], modules: tuple[str, ...]
    ) -> Path:
        name, sections = given["name"], planned.run.sections
        choice = {"allOf": [{"if": {"properties": {"name": {"const": name}}}, "then": {"$ref": f"#/$defs/attacks/{name}"}}]}
        spec = {"attack": prune(given, choice), "noise": noise, **form}
        path = planned.folder / "attacks" / f"{slug(name)}-{noise_slug(noise)}-{digest(spec)}.parquet"
        self._add(
            Job(
                "attack",
                spec,
                ("rs.attacking", *modules, method_schema("attacks", name)["x-module"]),
                planned.id,
                inputs={"data": self.data_manifest, "model": planned.folder / "model.json", "weights": planned.folder / "model.safetensors"},
                outputs={"attacks": path},
                device=sections["training"].get("device", "auto"),
                threads=sections["training"].get("threads", 1),
            )
        )
        return path

    def _refuse_double_labels(self) -> None:
        seen: dict[str, str] = {}
        for planned in self.runs:
            other = seen.setdefault(planned.id, planned.run.label)
            if other != planned.run.label:
                raise UserError(
                    f"{self.study.files[0]}: runs.{planned.run.label}: trains exactly what {other} trains; "
                    "give one run several `smoothing` noises instead"
                )


def _section(key: str) -> dict[str, Any]:
    section: dict[str, Any] = schema()["$defs"]["run"]["properties"][key]
    return next((s for s in section.get("anyOf", []) if "properties" in s), section)
