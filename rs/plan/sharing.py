"""Which runs of a study share a network, and the ids that tell these runs apart. No torch.

An id must mean the same votes whatever else is planned, so it depends neither on the order of runs nor on
`active`. A run whose label alone uses a network has the network's id. If several labels use a network, active
or not, the run whose voting settings are all defaults has the network's id; every other run's id adds a
digest of its settings. So a second label for a network renames the first label's run, unless that run votes
by the defaults.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

from rs.plan.jobs import noise_slug
from rs.provenance.digests import digest, file_digest
from rs.settings.training import Calibrated
from rs.study import joined
from rs.study.schema import prune, section
from rs.study.study import Run, Study

NOT_IDENTITY = ("device", "threads", "processes", "workers")  # settings of a training that say where it runs
NOT_VOTES = ("device", "device_class", "images_per_shard")  # settings of a sampling that do not change votes
IMPORTED = ("entry", "architecture", "format", "key", "normalization")


def training_part(run: Run) -> dict[str, Any]:
    """What a trained run's settings say of its network, without defaults; references stay labels."""
    part = {k: prune(run.sections[k], section(k)) for k in ("model", "objective", "noise", "training")}
    part["training"] = {k: v for k, v in part["training"].items() if k not in NOT_IDENTITY}
    return part


def imported_part(run: Run) -> dict[str, Any]:
    """How an imported network is built; its weights are not included."""
    sections = run.sections
    fields = {k: sections[k] for k in IMPORTED if sections[k] is not None}
    fields |= {"allow": ["chance"]} if sections["allow"] else {}
    fields |= {"output": output} if (output := joined.output_of(run)) != "logits" else {}
    if "architecture" in fields:
        fields["architecture"] = prune(fields["architecture"], section("model"))
    elif "entry" in fields:  # an inactive run may have neither
        # the function's own file, if it lies in the working directory; its imports are not followed
        code = Path(*fields["entry"].partition(":")[0].split(".")).with_suffix(".py")
        fields |= {"entry_sha256": file_digest(code)} if code.is_file() else {}
    return fields


def joined_part(run: Run, parts: int) -> dict[str, Any]:
    """What a run that joins `parts` networks says of its model, apart from these networks."""
    model = run.sections["model"]
    names = joined.networks_of("models", model)
    pruned = prune(model, section("model"))
    settings = {key: value for key, value in pruned.items() if key not in names}
    if settings.get("consensus") == parts:  # all of them: the same function as without it
        del settings["consensus"]
    return settings


def voting(run: Run) -> dict[str, Any]:
    """A run's voting settings, apart from where votes are drawn and how many images a file holds."""
    pruned: dict[str, Any] = prune(run.sections["sampling"], section("sampling"))
    return {key: value for key, value in pruned.items() if key not in NOT_VOTES}


class Sharing:
    """The sharing among all runs that the study states, before a plan rounds their votes to blocks.

    Runs are compared by what makes their networks, with references followed. Nothing is refused here: an
    inactive run may name a run that does not exist, and then shares its network with no other.
    """

    def __init__(self, study: Study) -> None:
        self._runs: dict[str, list[Run]] = defaultdict(list)
        for run in study.stated_runs:
            self._runs[run.label].append(run)
        self._votes = {(run.label, run.seed): voting(run) for run in study.stated_runs}
        self._keys: dict[tuple[str, int], str] = {}
        self.file_digest = functools.cache(
            file_digest
        )  # one look at each file of weights, which may be large

    def id(self, run: Run, network: str) -> str:
        """The id of a run whose network has the id `network`."""
        votes = self._votes[run.label, run.seed]
        shared = votes and len(self._users[self._key(run)]) > 1
        return f"{network}-{digest(votes)}" if shared else network

    @functools.cached_property
    def _users(self) -> dict[str, set[str]]:
        """The labels that use each network."""
        users: dict[str, set[str]] = defaultdict(set)
        for run in (run for runs in self._runs.values() for run in runs):
            users[self._key(run)].add(run.label)
        return users

    def _key(self, run: Run, above: tuple[Run, ...] = ()) -> str:
        """A key that is equal for equal networks."""
        known = run.label, run.seed
        if known not in self._keys:
            if any(run is other for other in above):
                return run.label  # in a circle, which is refused for active runs
            self._keys[known] = digest(self._content(run, (*above, run)), 16)
        return self._keys[known]

    def _content(self, run: Run, above: tuple[Run, ...]) -> dict[str, Any]:
        if run.kind == "imported":
            weights = Path(run.sections["weights"])
            content = self.file_digest(weights) if weights.is_file() else str(weights)
            return {"imported": imported_part(run), "name": weights.stem, "weights": content}
        if not run.trained:
            named = self._parts(run, "model", above)
            settings = joined_part(run, sum(map(len, named.values())))
            return {"joined": settings, **named, "noise": noise_slug(run.sections["noise"]), "seed": run.seed}
        if "objective" not in run.sections:
            return {"lacks": run.label}
        training = training_part(run)
        objective = dict(training["objective"])
        for key, value in objective.items():
            if isinstance(value, dict) and "calibrated" in value:
                by = [self._calibration(other, above) for other in self._named(run, value["calibrated"])]
                objective[key] = {**value, "calibrated": by, "cost": value.get("cost", Calibrated.cost)}
        objective |= self._parts(run, "objective", above)
        return {**training, "objective": objective, "seed": run.seed}

    def _calibration(self, run: Run, above: tuple[Run, ...]) -> list[Any]:
        settings = run.sections["calibration"]
        return [self._key(run, above), None if settings is None else prune(settings, section("calibration"))]

    def _parts(self, run: Run, part: str, above: tuple[Run, ...]) -> dict[str, list[Any]]:
        """The networks of other runs, in their order, by the parameter that names them."""
        method, networks = run.sections[part], {}
        for key in joined.networks_of(f"{part}s", method):
            others = [other for entry in _entries(method.get(key)) for other in self._named(run, *entry)]
            networks[key] = [[self._key(other, above), _level(other)] for other in others]
        return networks

    def _named(self, run: Run, label: str, seeds: list[int] | None = None) -> list[Run]:
        """The runs of this label with these seeds; by default the one with the seed of `run`, or the label's
        only run.
        """
        runs = self._runs.get(label, [])
        if seeds is not None:
            return [other for seed in seeds or [r.seed for r in runs] for other in runs if other.seed == seed]
        return [other for other in runs if other.seed == run.seed] or (runs if len(runs) == 1 else [])


def _entries(value: Any) -> list[tuple[str] | tuple[str, list[int]]]:
    """Label and seeds of each entry of a parameter that names networks; all seeds where an entry of a list
    has none.
    """
    if isinstance(value, str):
        return [(value,)]
    return [(e, []) if isinstance(e, str) else (e["run"], e["seeds"]) for e in value or ()]


def _level(run: Run) -> float | None:
    """The noise level that sets the time step of a diffusion model; None for other networks."""
    return run.sections["noise"].get("sigma") if joined.output_of(run) == "noise" else None
