"""Compares what a paper says of its settings with the settings of a study's run. No torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from rs.provenance.reading import is_number
from rs.settings.images import Subset
from rs.settings.labels import label_of
from rs.study.messages import short
from rs.study.schema import defaults, method_schema
from rs.study.study import Run, Study, merge

Settings = dict[str, Any]
KINDS = {"data": "datasets", "model": "models", "objective": "objectives", "noise": "noises"}
METHOD = ("objective", "noise")  # settings in which a baseline is another method
IMAGES = ("train", "test")  # an entry's images replace those of its paper; two subsets are not merged


@dataclass(frozen=True)
class Instrument:
    """What a number was observed by: the labels of its certificate and attack; whether by a calibration."""

    certificate: str | None = None
    attack: str | None = None
    calibrated: bool = False


def instrument_of(metric: str, named: Settings) -> Instrument:
    """The instrument of a metric, of those that a printed number or a claim's side names."""
    return Instrument(
        named["certificate"] if metric in ("acr", "certified_accuracy") else None,
        named["attack"] if metric == "empirical_accuracy" else None,
        metric in ("epsilon", "rho"),
    )


def stated(study: Study, paper: str, own: Settings | str | None) -> Settings:
    """The paper's settings merged with an entry's `own`, or the settings that `own` names. Settings that both
    leave open are absent.
    """
    if isinstance(own, str):
        paper, own = own, None
    general, special = _set_keys(study.papers.get(paper) or {}), _set_keys(own or {})
    joined: Settings = merge(
        {k: v for k, v in general.items() if k not in IMAGES or k not in special}, special
    )
    return joined


def _set_keys(value: Any) -> Any:
    return {k: _set_keys(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def check_settings(
    study: Study, place: tuple[Any, ...], labels: list[str], entry: Settings, by: Instrument
) -> None:
    """Raises UserError at a setting that a run of the entry at `place` cannot have: a misspelt one, say."""
    named, own = entry["paper"], entry["settings"]
    if isinstance(own, str):
        if own not in study.papers:
            names = ", ".join(study.papers) or "none"
            study.fail((*place, "settings"), f"{own!r} is none of papers: {names}")
        named = own
    published = stated(study, entry["paper"], own)
    for run in study.all_runs:
        if run.label not in labels:
            continue
        actual = _of_run(study, run, by)
        for section, keys in published.items():
            ours = actual.get(section)
            if ours is None or keys.get("name", ours.get("name")) != ours.get("name"):
                continue  # another method: the paper's other keys do not apply to it
            for path, _ in _leaves(keys):
                if _at(ours, path) is _ABSENT:
                    mine = ("settings", section, *path)
                    theirs = ("papers", named, section, *path)
                    where = theirs if _at(entry, mine) is _ABSENT else (*place, *mine)
                    allowed = ", ".join(sorted(map(str, ours)))
                    study.fail(where, f"{run.label} has no such setting; its {section} has: {allowed}")


def differences(
    study: Study, label: str, published: Settings, by: Instrument, others: Collection[str] = ()
) -> list[str]:
    """What differs between the paper and the run or log, such as `training.epochs 90, not 440`.

    Of a log the study knows data, noise, votes and error rate; its training is not compared. In the sections
    `others` another method is no difference. A paper of which anything is stated, but not the images that it
    trained on, trained on all of them.
    """
    log = study.logs.get(label)
    run = None if log else next(run for run in study.all_runs if run.label == label)
    actual: Settings = _of_run(study, run, by) if run else _of_log(study, log or {})
    sentences: list[str] = []
    for section, keys in published.items():
        if section not in actual:
            continue
        ours = actual[section]
        if keys.get("name", ours.get("name")) != ours.get("name"):
            if section in others:
                continue
            sentences.append(f"{section} {ours.get('name')}, not {keys['name']}")
            continue
        for path, theirs in _leaves(keys):
            mine = _at(ours, path)
            unknown = log is not None and mine is _ABSENT
            if not unknown and not _same(mine, theirs):
                shown = "none" if mine is _ABSENT or mine is None else short(mine)
                sentences.append(f"{section}.{'.'.join(path)} {shown}, not {short(theirs)}")
    if published and run and run.trained and _whole(study.train) != _whole(published.get("train", {})):
        sentences.append(f"train {_subset(study.train)}, not {_subset(published.get('train', {}))}")
    return sentences


_ABSENT = object()


def _of_run(study: Study, run: Run, by: Instrument) -> Settings:
    """The run's sections with their defaults, and those of the instrument."""
    methods: Settings = {"data": study.data}
    methods |= {k: run.sections[k] for k in ("model", "objective", "noise") if run.trained}
    filled = {k: defaults(method_schema(KINDS[k], v["name"]), v) for k, v in methods.items()}
    if run.trained:
        filled["training"] = run.sections["training"]
    filled["sampling"] = run.sections["sampling"]
    for key, label in (("certificate", by.certificate), ("attack", by.attack)):
        for method in run.sections[f"{key}s"]:
            if label is not None and label_of(f"{key}s", method) == label:
                filled[key] = defaults(method_schema(f"{key}s", method["name"]), method)
    if by.calibrated and run.sections["calibration"] is not None:
        filled["calibration"] = run.sections["calibration"]
    return filled


def _of_log(study: Study, log: Settings) -> Settings:
    """The study's settings of a log."""
    methods = {"data": study.data, "noise": log["noise"]}
    filled = {k: defaults(method_schema(KINDS[k], v["name"]), v) for k, v in methods.items()}
    filled["certificate"] = {"name": log["certificate"], "alpha": log["alpha"]}
    return filled | {"sampling": {"n": log["n"]}}


def _leaves(value: Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _leaves(item, (*above, key))
        else:
            yield (*above, key), item


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = value[key]
    return value


def _same(mine: Any, theirs: Any) -> bool:
    numbers = is_number(mine) and is_number(theirs)
    return math.isclose(mine, theirs, rel_tol=1e-6) if numbers else bool(mine == theirs)


def _whole(subset: Settings) -> Settings:
    whole = Subset(**subset)
    return {"first": whole.first, "max": whole.max, "skip": whole.skip}


def _subset(subset: Settings) -> str:
    bounds = {k: v for k, v in _whole(subset).items() if v not in (None, 0) and (k, v) != ("skip", 1)}
    return " ".join(f"{k} {v}" for k, v in bounds.items()) or "all"
