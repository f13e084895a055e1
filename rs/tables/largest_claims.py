"""The most that votes can certify, for a study's run and for a paper. No torch."""

from __future__ import annotations

from typing import Any

from rs.settings.certificates import CertificateUse, is_for
from rs.settings.labels import certificate_label
from rs.statistics import attainable
from rs.study.schema import at_most_unanimous, noise_level
from rs.study.study import Study


def largest_claims(
    study: Study, label: str, certificate: str, settings: dict[str, Any]
) -> tuple[float, float] | None:
    """The largest radius that the run's votes can certify, and the paper's with its `settings`. None
    where unanimous votes do not bound them, or where the paper's number of votes is unknown.
    """
    votes = settings.get("sampling", {}).get("n"), settings.get("certificate", {}).get("alpha")
    claim = _claim(study, label, certificate)
    if None in votes or claim is None:
        return None
    return attainable.largest(*claim), attainable.largest(*votes, claim[2])


def largest_claim(study: Study, label: str, certificate: str) -> float | None:
    """The largest radius that the run's votes can certify; None where unanimous votes do not bound it."""
    claim = _claim(study, label, certificate)
    return None if claim is None else attainable.largest(*claim)


def _claim(study: Study, label: str, certificate: str) -> tuple[int, float, float] | None:
    """Votes, error rate and level of the noise."""
    if label in study.logs:
        log = study.logs[label]
        capped = at_most_unanimous(log["certificate"], log["noise"])
        return (log["n"], log["alpha"], noise_level(log["noise"])) if capped else None
    run = next(run for run in study.all_runs if run.label == label)
    for method in run.sections["certificates"]:
        if certificate_label(method) == certificate and not method.get("randomised"):  # that may certify more
            meant = [n for _, n in run.noises if is_for(method, n["name"])]
            levels = {noise_level(n) for n in meant}
            if len(levels) == 1 and all(at_most_unanimous(method["name"], n) for n in meant):
                return run.sections["sampling"]["n"], method.get("alpha", CertificateUse.alpha), levels.pop()
    return None
