"""From a checked study to its jobs: ids, paths, specs and code digests of every stage. No torch.

The rules and `rs <stage> --study` look everything up here, so each path is defined once. Results that studies
can share lie in results/runs/<id>/ under keys that are digests of their specs. results/<study>/ is derived
from them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan.jobs import RESULTS, Job, PlannedLog, PlannedRun, slug
from rs.plan.networks import Networks
from rs.plan.shard_sizes import Kept
from rs.plan.stages import STAGES, STUDY_STAGES, stage_named
from rs.provenance.digests import digest, digests_by_key, file_digest
from rs.provenance.known_code import known_digest
from rs.settings.limits import MOST_JOBS
from rs.study import refusals, tracking_place
from rs.study.certification_log import log_path, read_log
from rs.study.claim_refusals import check_claims
from rs.study.published import check_published
from rs.study.report_refusals import check_comparisons, check_figures
from rs.study.rerun import command
from rs.study.schema import data_facts, method_schema, prune, section
from rs.study.study import Study

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
    "comparisons",
    "provenance",
)


class Plan:
    """All jobs of a study, by stage and by the first of their outputs.

    Plans that are given the same `kept` draw what they share in the same shards, those of the first plan.
    """

    def __init__(self, study: Study, kept: Kept | None = None) -> None:
        self.jobs: dict[str, dict[str, Job]] = {stage: {} for stage in STAGES}
        self._by_target: dict[str, Job] = {}
        self._by_run: dict[str, dict[str, Job]] = {}
        self._digest_code = functools.cache(known_digest)  # thousands of jobs execute the same code
        self._lineages: dict[str, str] = {}
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
            size = self.data_facts["x-sizes"][split]
            refusals.check_subset(study, (split,), images, size, f"the {split} split has")
        known = (study, self.data_id, self.data_manifest, self.data_facts, self.add)
        networks = Networks(*known, {} if kept is None else kept)
        self.observer = networks.observer
        self.runs = [networks.plan(run) for run in study.runs]
        self.logs = [self._log(label, entry) for label, entry in study.logs.items()]
        self._refuse_double_labels()
        check_published(study)
        check_comparisons(study)
        check_figures(study)
        check_claims(study, TABLES)
        tracking_place.check_address(study)

    # --- what the rules look up ---

    @property
    def folder(self) -> Path:
        return RESULTS / self.study.name

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    @property
    def labels(self) -> list[str]:
        """The labels of the active runs, each once."""
        return list(dict.fromkeys(planned.run.label for planned in self.runs))

    def labelled(self, label: str) -> list[PlannedRun]:
        """The runs of a label, one per seed. Raises UserError where none is active."""
        if label not in self.labels:
            known = ", ".join(self.labels)
            raise UserError(f"{self.study.files[0]}: no active run is labelled {label!r}; runs: {known}")
        return [planned for planned in self.runs if planned.run.label == label]

    def table_files(self) -> list[Path]:
        return [self.tables / f"{name}.parquet" for name in TABLES]

    def aggregated_files(self) -> list[Path]:
        """All files of the runs and logs that the tables are made from."""
        of_runs = (path for planned in self.runs for path in self.tabled_files(planned.id))
        return list(dict.fromkeys(of_runs)) + [log.path for log in self.logs]

    def existing(self, path: Path) -> Path:
        """`path`. Raises UserError where no job has made it yet."""
        if not path.exists():
            again = command(self.study.files, self.study.overrides)
            raise UserError(f"{path}: not there yet; run the study first ({again})")
        return path

    @property
    def summary(self) -> str:
        """Digests, by key, of the settings that the tables show beyond the files that they are made from."""
        study = self.study
        settings = {
            "runs": list(map(self.shown, self.runs)),
            "report.radii": study.report["radii"],
            "published": study.published,
        }
        settings |= {"logs": study.logs, "papers": study.papers, "agreement": study.agreement}
        return digests_by_key(settings | {"claims": study.claims, "comparisons": study.comparisons})

    @staticmethod
    def shown(planned: PlannedRun) -> list[Any]:
        """The id, the label, the attacks and further settings of a run that the tables show."""
        sections = planned.run.sections
        attacks = [[use.get("label"), use.get("certificate")] for use in sections["attacks"]]
        precision = sections["sampling"].get("precision")
        return [planned.id, planned.run.label, attacks, precision, sections["distributional"]]

    @property
    def described(self) -> str:
        """Digests, by key, of the settings that the page shows, those of its tables among them."""
        study = self.study
        settings = {"name": study.name, "description": study.description, "report": study.report}
        return f"{digests_by_key(settings)} {self.summary}"

    @functools.cached_property
    def tables_lineage(self) -> str:
        """Digest of the paths that the tables are made from and of the code of all jobs that led to them."""
        jobs = [job for job in self.all_jobs() if job.declared.tabled]
        return digest([list(map(str, self.aggregated_files())), sorted(map(self.lineage, jobs))], 16)

    def _log(self, label: str, entry: dict[str, Any]) -> PlannedLog:
        """Reads a log once, so that a malformed line is reported before any job starts."""
        refusals.check_log(self.study, label, entry)
        path = log_path(entry["file"], self.study.data_dir)
        if not path.exists():
            problem = "no such file, here or in the folder of the data sets (data_dir, RS_DATA_DIR)"
            self.study.fail(("logs", label, "file"), f"{entry['file']}: {problem}")
        facts = method_schema("certificates", entry["certificate"])
        refusals.check_log_radii(self.study, label, entry, read_log(path))
        claim = {
            "certificate": entry["certificate"],
            "norm": float(facts["x-norms"][entry["noise"]["name"]]),
            "alpha": entry["alpha"],
            "n": entry["n"],
            "rigorous": False,  # another procedure and rounding, which cannot be checked here
        }
        noise = prune(entry["noise"], section("noise"))
        return PlannedLog(label, f"log-{slug(label)}-{file_digest(path)[:8]}", path, noise, claim)

    def _refuse_double_labels(self) -> None:
        seen: dict[str, str] = {}
        for planned in self.runs:
            other = seen.setdefault(planned.id, planned.run.label)
            if other != planned.run.label:
                raise UserError(
                    f"{self.study.files[0]}: runs.{planned.run.label}: trains exactly what {other} trains; "
                    "give one run several `smoothing` noises instead, or the two another `sampling`"
                )

    # --- jobs, the jobs that make their files, and the code that led to them ---

    def job(self, stage: str, target: str) -> Job:
        return self.jobs[stage_named(stage).name][str(target)]

    def maker(self, path: Path) -> Job:
        """The job whose target is `path`."""
        return self._by_target[str(path)]

    def makers(self) -> dict[Path, Job]:
        """The job that makes each file."""
        return {path: job for job in self.all_jobs() for path in job.outputs.values()}

    def all_jobs(self) -> Iterator[Job]:
        """All jobs, in the order of the stages."""
        for jobs in self.jobs.values():
            yield from jobs.values()

    def add(self, job: Job) -> Job:
        """Adds a job to the plan, or returns the job that already has its target."""
        job.check_files()
        target = str(job.target)
        job.digest_code = self._digest_code
        planned = self._by_target.setdefault(target, job)
        if planned is not job:
            if (planned.stage, planned.params) != (job.stage, job.params):
                raise UserError(f"{target}: two different specs have the same digest; change one seed")
        else:
            self.jobs[job.stage][target] = job
        of_run = self._by_run.setdefault(job.run, {})
        of_run[target] = planned
        if len(self._by_target) > MOST_JOBS:
            advice = "fewer runs, or larger shards and blocks"
            raise UserError(f"the study has more than {MOST_JOBS} jobs; {advice} (sampling)")
        return planned

    def of_run(self, run: str) -> list[Job]:
        """The jobs of the run with this id, in the order of the plan. Other runs may need them too."""
        return list(self._by_run.get(run, {}).values())

    def tabled_files(self, run: str) -> Iterator[Path]:
        """The files of the run with this id that the tables are made from, in the order of the plan."""
        for job in self.of_run(run):
            yield from (job.outputs[key] for key in job.declared.tabled)

    def code(self, stage: str) -> str:
        """Digest of the code of a stage with one job per study, and of the data that it comes with."""
        declared = STUDY_STAGES[stage]
        code = self._digest_code(declared.executes)
        return digest([code, *map(file_digest, declared.data)], 12) if declared.data else code

    def lineage(self, job: Job) -> str:
        """Digest of the code of a job and of all jobs that its inputs come from.

        Snakemake passes staleness on by new files. A job that fails leaves no new file, and the next plan
        would take everything downstream for current; this digest prevents that.
        """
        target = str(job.target)
        if target not in self._lineages:
            above = map(self.maker, job.follows())
            self._lineages[target] = digest([job.code, *map(self.lineage, above)], 12)
        return self._lineages[target]
