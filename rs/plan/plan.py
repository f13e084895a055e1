"""From a checked study to its jobs: ids, paths, specs and code digests of every stage. No torch.

The rules and `rs <stage> --study` look everything up here, so each path is defined once. Results that studies
can share lie in results/runs/<id>/ under keys that are digests of their specs. results/<study>/ is derived
from them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from rs.errors import UserError
from rs.plan.graph import JobGraph
from rs.plan.jobs import RESULTS, Job, PlannedLog, PlannedRun, slug
from rs.plan.networks import Networks
from rs.plan.shard_sizes import Kept
from rs.provenance.digests import digest, digests_by_key, file_digest
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


class Plan(JobGraph):
    """All jobs of a study, by stage and by the first of their outputs.

    Plans that are given the same `kept` draw what they share in the same shards, those of the first plan.
    """

    def __init__(self, study: Study, kept: Kept | None = None) -> None:
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
