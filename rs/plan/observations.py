"""The jobs that observe a trained network under each smoothing noise: draws, certificates, attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rs.plan import running_plans
from rs.plan.drawing import Drawing, in_batches_of, in_blocks, share_of, stop_of
from rs.plan.jobs import Job, Observation, PlannedRun, noise_slug, slug
from rs.plan.shard_sizes import Kept, shards_of
from rs.provenance.digests import digest
from rs.settings.attacks import AttackUse
from rs.settings.certificates import is_for
from rs.settings.images import Subset
from rs.settings.sampling import requested_form
from rs.study import refusals, sampling_refusals
from rs.study.schema import (
    class_of,
    defaults,
    is_transfer,
    method_schema,
    prune,
    section,
    study_section,
)
from rs.study.study import Run, Study


@dataclass(frozen=True)
class UnderNoise:
    """A run under one of its smoothing noises: the noise, its place in the study, and the classes of the
    network and of the noise.
    """

    planned: PlannedRun
    noise: dict[str, Any]
    place: tuple[Any, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Observer:
    """Plans the jobs that observe a run; `add` takes each job into the plan."""

    study: Study
    data_manifest: Path
    data_facts: dict[str, Any]
    add: Callable[[Job], Job]
    find: Callable[[Run, tuple[Any, ...], str], PlannedRun]  # finds the run that a key of another run names
    beside: Callable[[Run], PlannedRun]  # finds the run whose draws another run's start from
    kept: Kept
    running: dict[tuple[Path, int, int], int] = field(default_factory=running_plans.sizes)

    def observe(self, planned: PlannedRun, classes: tuple[str, ...]) -> None:
        """Plans draws, certificates and attacks of a run under each of its smoothing noises."""
        run = planned.run
        self._size(planned)
        planned.classes, planned.inputs = classes, planned.read_by(self.data_manifest)
        form = requested_form(run.sections["sampling"])
        if form["precision"] != "int8" and (form["compiled"] or run.sections["sampling"]["device"] == "cuda"):
            planned.inputs = planned.inputs | self._form(planned, form, classes)
        noises = [prune(noise, section("noise")) for _, noise in run.noises]
        refusals.check_smoothing(self.study, run, noises, self.data_facts["x-shape"])
        for noise, (where, _) in zip(noises, run.noises, strict=True):
            under = UnderNoise(planned, noise, where, (*classes, class_of("noises", noise)))
            if form["precision"] == "int8":  # calibrated under the noise of its votes
                planned.inputs = planned.inputs | self._form(planned, {**form, "noise": noise}, under.classes)
            planned.observations.append(self._under(under))

    def _size(self, planned: PlannedRun) -> None:
        """Rounds the number of votes to whole blocks, or to batches of the run that this one starts from."""
        run, sampling = planned.run, planned.run.sections["sampling"]
        if sampling["source"] is None:
            run.sections["sampling"] = in_blocks(sampling, planned.folder / "draws")
        else:
            planned.source = self.beside(run)
            run.sections["sampling"] = in_batches_of(sampling, planned.source.run.sections["sampling"])

    def _under(self, under: UnderNoise) -> Observation:
        planned, noise = under.planned, under.noise
        return Observation(
            noise,
            self._certify(under) if self._for(planned.run, noise) else None,
            [self._attack(under, i) for i in range(len(planned.run.sections["attacks"]))],
            self._distributional(under) if planned.run.sections["distributional"] is not None else None,
            planned.inputs.get("form"),
        )

    def _certify(self, under: UnderNoise) -> Path:
        planned, noise, classes = under.planned, under.noise, under.classes
        run, sampling = planned.run, planned.run.sections["sampling"]
        sampling_refusals.check_engine(self.study, run)
        sampling_refusals.check_blocks(self.study, run)
        sampling_refusals.check_answers(self.study, run)
        drawing, shards = Drawing(planned, noise), []
        images, drawn = self._images_per_shard(drawing), (planned.folder / "draws").is_dir()
        sampling_refusals.check_draw_files(self.study, run, self._test_size(), images, drawn)
        sampling_refusals.check_stopping(self.study, run, noise)
        if planned.source is not None:
            sampling_refusals.check_votes(self.study, run, noise, planned.source.run, share_of(run))
        certificates = [self._certificate(under, i) for i in self._for(run, noise)]
        for shard, jobs in drawing.jobs(self.shards(images), classes):
            shards.append(shard)
            for job in jobs:
                self.add(job)
        certify = {
            "noise": noise,
            "certificates": certificates,
            "test": prune(self.study.test, study_section("test")),
            **{k: sampling[k] for k in ("n0", "n", "block", "seed")},
            "data_size": self._test_size(),
            **stop_of(run),
            **drawing.answers,
            **drawing.source,
        }
        path = planned.folder / "certified" / f"{drawing.key}-{digest(certify)}.parquet"
        certificate_classes = (method_schema("certificates", c["name"])["x-class"] for c in certificates)
        self.add(
            Job(
                "certify",
                certify,
                (classes[-1], *certificate_classes),
                planned.id,
                inputs={"folder": drawing.folder, "shards": shards, "model": planned.inputs["model"]},
                outputs={"certified": path},
            )
        )
        return path

    @staticmethod
    def _for(run: Run, noise: dict[str, Any]) -> list[int]:
        """The indices of the run's certificates that are for this smoothing noise."""
        certificates = run.sections["certificates"]
        return [i for i, c in enumerate(certificates) if is_for(c, noise["name"])]

    def _certificate(self, under: UnderNoise, i: int) -> dict[str, Any]:
        """A certificate's part of the spec: values that differ from their defaults, and alpha."""
        run = under.planned.run
        certificate = run.sections["certificates"][i]
        full = defaults(method_schema("certificates", certificate["name"]), certificate)
        refusals.check_certificate(self.study, run, i, full, under.noise, under.place)
        kept = {k: v for k, v in certificate.items() if k != "noises"}
        return {**prune(kept, section("certificates")["items"]), "alpha": full["alpha"]}

    def _form(self, planned: PlannedRun, spec: dict[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
        """Adds the job that tries out and fixes a form, and returns its output as an input."""
        path = planned.folder / "forms" / f"{digest(spec)}.json"
        inputs, device = planned.read_by(self.data_manifest), planned.run.sections["sampling"]["device"]
        self.add(Job("form", spec, classes, planned.id, inputs, {"form": path}, device))
        return {"form": path}

    def _test_size(self) -> int:
        size: int = self.data_facts["x-sizes"]["test"]
        return size

    def shards(self, images_per_shard: int) -> Iterator[range]:
        """Image ranges of whole shards that cover the test subset. More images add ranges and change none."""
        size, subset = self._test_size(), Subset(**self.study.test)
        step, images = subset.skip, len(subset.positions(size))
        for done in range(0, images, images_per_shard):
            first = subset.first + done * step
            yield range(first, min(first + images_per_shard * step, size), step)

    def _images_per_shard(self, drawing: Drawing) -> int:
        """The size of the shards: that of the first run that shares the draws, or of the source; before it,
        that of a process which runs.
        """
        first = drawing if (source := drawing.planned.source) is None else Drawing(source, drawing.noise)
        subset = Subset(**self.study.test)
        key = (first.folder, subset.first, subset.skip)
        if key not in self.kept:
            stated = first.sampling["images_per_shard"]
            label = f"{first.planned.title}, {noise_slug(first.noise)}"
            arguments = (first.folder, label, stated, subset, self._test_size())
            self.kept[key] = shards_of(*arguments, self.running.get(key))
        return self.kept[key].images

    def _attack(self, under: UnderNoise, i: int) -> Path:
        planned, noise = under.planned, under.noise
        settings, training = planned.run.sections["attacks"][i], planned.run.sections["training"]
        name, inputs = settings["name"], planned.inputs
        attack = prune(settings, section("attacks")["items"])
        for key in ("label", "certificate"):  # only the tables use these
            attack.pop(key, None)
        spec = {"attack": attack, "noise": noise, **requested_form(planned.run.sections["sampling"])}
        facts = method_schema("attacks", name)
        norm, classes = facts.get("x-norm", 2), (*under.classes, facts["x-class"])
        if is_transfer(settings):
            target, source = self._source(planned.run, i)
            source_facts = method_schema("attacks", source["attack"]["name"])
            norm = source_facts["x-norm"]
            spec |= {"source": source}
            classes = (*classes, *target.classes, source_facts["x-class"])
            classes = (*classes, class_of("noises", source["noise"]))
            inputs = {**inputs, "source": target.manifest, "source_weights": target.weights}
        refusals.check_attack(self.study, planned.run, i, norm, noise, under.place)
        path = planned.folder / "attacks" / f"{slug(name)}-{noise_slug(noise)}-{digest(spec)}.parquet"
        self.add(
            Job(
                "attack",
                spec,
                classes,
                planned.id,
                inputs=inputs,
                outputs={"attacks": path},
                device=training["device"],
                threads=training["threads"],
            )
        )
        return path

    def _distributional(self, under: UnderNoise) -> Path:
        """Points for all gammas at once. Which gammas certify or attack, at which rhos, is derived later."""
        planned, noise = under.planned, under.noise
        refusals.check_distributional(self.study, noise, under.place)
        training = planned.run.sections["training"]
        stated = planned.run.sections["distributional"]
        settings = prune(stated, section("distributional"))
        derived = ("gammas", "attack_gammas", "rhos", "alpha")
        spec = {"noise": noise, "gammas": sorted({*stated["gammas"], *stated["attack_gammas"]})}
        spec |= {key: value for key, value in settings.items() if key not in derived}
        path = planned.folder / "distributional" / f"{noise_slug(noise)}-{digest(spec)}.parquet"
        inputs = planned.read_by(self.data_manifest)
        described = ("distributional", spec, under.classes, planned.id)
        where_to = (inputs, {"observed": path}, training["device"], training["threads"])
        self.add(Job(*described, *where_to))
        return path

    def _source(self, run: Run, i: int) -> tuple[PlannedRun, dict[str, Any]]:
        """The run whose adversarial examples a transfer attack takes, and the settings that make them."""
        settings, place = run.sections["attacks"][i], (*run.place, "attacks", i)
        target = self.find(run, (*place, "source_run"), settings["source_run"])
        own = refusals.find_attack(self.study, (*place, "attack"), target.run, settings["attack"])
        attack = prune(own, section("attacks")["items"])
        keys = {"name", *method_schema("attacks", own["name"])["x-parameters"]}
        source = {"run": target.network, "noise": prune(target.run.sections["noise"], section("noise"))}
        source["attack"] = {k: v for k, v in attack.items() if k in keys}
        return target, {**source, "seed": own.get("seed", AttackUse.seed)}
