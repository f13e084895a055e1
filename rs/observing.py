"""The jobs that observe a trained network under each smoothing noise: draws, certificates, attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rs import refusals
from rs.draws import draw_file
from rs.jobs import Job, Observation, PlannedRun, noise_slug, slug
from rs.provenance import digest
from rs.spec import Subset
from rs.study import Run, Study, defaults, method_schema, prune, schema, section


@dataclass(frozen=True)
class Observer:
    """Plans what is observed of a run; `add` takes each job into the plan."""

    study: Study
    data_manifest: Path
    data_facts: dict[str, Any]
    add: Callable[[Job], Job]

    def observe(self, planned: PlannedRun, modules: tuple[str, ...]) -> None:
        """Draws, certificates and attacks of a run under each of its smoothing noises."""
        run, smoothing = planned.run, planned.run.sections["smoothing"]
        given = [run.sections["noise"]] if smoothing is None else smoothing
        noises = [prune(noise, schema()["$defs"]["run"]["properties"]["noise"]) for noise in given]
        refusals.check_smoothing(self.study, run, noises, self.data_facts["x-shape"])
        for i, noise in enumerate(noises):
            where = (*run.place, "noise") if smoothing is None else (*run.place, "smoothing", i)
            planned.observations.append(self._under(planned, noise, where, modules))

    def _under(
        self, planned: PlannedRun, noise: dict[str, Any], where: tuple[Any, ...], modules: tuple[str, ...]
    ) -> Observation:
        sections, sampling = planned.run.sections, planned.run.sections["sampling"]
        modules = (*modules, method_schema("noises", noise["name"])["x-module"])
        form = {key: sampling[key] for key in ("precision", "batch", "compiled")}
        found = Observation(noise, None, [])
        if self._for(planned.run, noise):
            found.certified = self._certify(planned, noise, form, where, modules)
        for i in range(len(sections["attacks"])):
            found.attacks.append(self._attack(planned, i, noise, form, modules))
        return found

    def _certify(
        self,
        planned: PlannedRun,
        noise: dict[str, Any],
        form: dict[str, Any],
        where: tuple[Any, ...],
        modules: tuple[str, ...],
    ) -> Path:
        run, sampling = planned.run, planned.run.sections["sampling"]
        certificates = [self._certificate(run, i, noise, where) for i in self._for(run, noise)]
        refusals.check_blocks(self.study, run)
        spec = {"noise": noise, **form, "betas": sampling["betas"], "seed": sampling["seed"]}
        key = f"{noise_slug(noise)}-{digest(spec)}"
        folder = planned.folder / "draws" / key
        shards = self._draw_jobs(planned, spec, folder, modules)
        certify = {
            "noise": noise,
            "certificates": certificates,
            "test": prune(self.study.test, schema()["properties"]["test"]),
            **{k: sampling[k] for k in ("n0", "n", "block", "seed")},
            "data_size": self._test_size(),
        }
        path = planned.folder / "certified" / f"{key}-{digest(certify)}.parquet"
        certificate_modules = (method_schema("certificates", c["name"])["x-module"] for c in certificates)
        self.add(
            Job(
                "certify",
                certify,
                ("rs.evaluation", modules[-1], *certificate_modules),
                planned.id,
                inputs={"folder": folder, "shards": shards},
                outputs={"certified": path},
            )
        )
        return path

    @staticmethod
    def _for(run: Run, noise: dict[str, Any]) -> list[int]:
        """Which of the run's certificates are for this smoothing noise."""
        given = run.sections["certificates"]
        return [i for i, c in enumerate(given) if c.get("noises") is None or noise["name"] in c["noises"]]

    def _certificate(self, run: Run, i: int, noise: dict[str, Any], where: tuple[Any, ...]) -> dict[str, Any]:
        """A certificate's part of the spec: what differs from its defaults, and alpha."""
        given = run.sections["certificates"][i]
        full = defaults(method_schema("certificates", given["name"]), given)
        refusals.check_certificate(self.study, run, i, full, noise, where)
        kept = {k: v for k, v in given.items() if k != "noises"}
        return {**prune(kept, section("certificates")["items"]), "alpha": full["alpha"]}

    def _draw_jobs(
        self, planned: PlannedRun, spec: dict[str, Any], folder: Path, modules: tuple[str, ...]
    ) -> list[str]:
        """One job per shard of images and block of votes; returns the shards' names."""
        sampling = planned.run.sections["sampling"]
        n0, n, block = sampling["n0"], sampling["n"], sampling["block"]
        inputs = self._trained_inputs(planned)
        shards = []
        for images in self.shards(sampling["images_per_shard"]):
            extent = [images.start, images.stop, images.step]
            shards.append("-".join(map(str, extent)))
            for purpose, size, index in (
                ("select", n0, 0),
                *(("estimate", block, b) for b in range(n // block)),
            ):
                job = {**spec, "purpose": purpose, "images": extent, "size": size, "block": index}
                outputs = {"draws": draw_file(folder, purpose, size, shards[-1], index)}
                described = ("sample", job, ("rs.sampling", *modules), planned.id)
                self.add(Job(*described, inputs, outputs, sampling["device"]))
        return shards

    def _trained_inputs(self, planned: PlannedRun) -> dict[str, Any]:
        folder = planned.folder
        return {
            "data": self.data_manifest,
            "model": folder / "model.json",
            "weights": folder / "model.safetensors",
        }

    def _test_size(self) -> int:
        size: int = self.data_facts["x-sizes"]["test"]
        return size

    def shards(self, images_per_shard: int) -> Iterator[range]:
        """Image ranges of whole shards that hold the test subset: more images add ranges and change none."""
        size, subset = self._test_size(), Subset(**self.study.test)
        step, wanted = subset.skip, len(subset.positions(size))
        for first in range(0, wanted, images_per_shard):
            yield range(first * step, min((first + images_per_shard) * step, size), step)

    def _attack(
        self,
        planned: PlannedRun,
        i: int,
        noise: dict[str, Any],
        form: dict[str, Any],
        modules: tuple[str, ...],
    ) -> Path:
        given, training = planned.run.sections["attacks"][i], planned.run.sections["training"]
        name = given["name"]
        attack = prune(given, section("attacks")["items"])
        attack.pop("label", None)  # the tables' name for it
        spec = {"attack": attack, "noise": noise, **form}
        path = planned.folder / "attacks" / f"{slug(name)}-{noise_slug(noise)}-{digest(spec)}.parquet"
        self.add(
            Job(
                "attack",
                spec,
                ("rs.attacking", *modules, method_schema("attacks", name)["x-module"]),
                planned.id,
                inputs=self._trained_inputs(planned),
                outputs={"attacks": path},
                device=training["device"],
                threads=training["threads"],
            )
        )
        return path
