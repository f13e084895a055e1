"""A plug-in's certificate that calls itself rigorous is compared with the tight radius when it is built.

It is refused if there is a counterexample to it (rs.methods.counterexamples). That takes about a second per
noise family, and torch; so the answer is kept in the user's cache, under the digest of all that it depends
on, and loads no torch again. Not compared: a certificate that refuses the simulated votes, and a family whose
parameters are more than its level and those below the dimension.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rs.errors import UserError
from rs.methods.checked import place_of
from rs.provenance import user_cache
from rs.provenance.digests import digest
from rs.provenance.files import read_json, versions, write_json
from rs.settings.plugins import plug_ins
from rs.study.plugin_schema import files_of
from rs.study.schema import schema

if TYPE_CHECKING:
    from rs.methods.counterexamples import Counterexample
    from rs.methods.interfaces import Certificate
    from rs.smoothing.noise import Noise

LEVEL, BELOW_DIMENSION = 0.5, 2.0  # of the noise that radii are compared under
Build = Callable[[dict[str, Any]], Any]


def check(name: str, certificate: Certificate, build_noise: Build) -> None:
    """Raises UserError for a counterexample to the certificate, which a study calls `name`."""
    made_of = {
        "certificate": [name, type(certificate).__module__, repr(certificate)],
        "code": [list(files_of(plug_in)) for plug_in in plug_ins()],
        "versions": versions(),
    }
    kept = user_cache.folder("compared") / f"{name}-{digest(made_of, 32)}.json"
    with contextlib.suppress(UserError):
        read_json(kept)
        return
    for spec, noise in noises_of(certificate, build_noise):
        norm = certificate.norms[spec["name"]]
        if (found := _counterexample(certificate, noise, norm)) is not None:
            place = place_of(type(certificate).certify)
            raise UserError(f"{place}: certificate {name}: {sentence(found, spec, norm)}")
    with contextlib.suppress(UserError):  # a home folder may be read-only
        write_json(kept, made_of)


def noises_of(certificate: Certificate, build_noise: Build) -> Iterator[tuple[dict[str, Any], Noise]]:
    """The noises that its radii are compared under, one per family of `norms` with a density: as a study
    writes them, and built.
    """
    for family in certificate.norms:
        facts = schema()["$defs"]["noises"].get(family, {})
        spec = {"name": family, **dict.fromkeys(facts.get("x-below_dimension", ()), BELOW_DIMENSION)}
        spec |= {facts["x-level"]: LEVEL} if "x-level" in facts else {}
        if facts and set(facts["x-required"]) <= set(spec):
            with contextlib.suppress(UserError):  # a level of its own
                noise = build_noise(spec)
                if hasattr(noise, "log_ratio"):
                    yield spec, noise


def _counterexample(certificate: Certificate, noise: Noise, norm: float) -> Counterexample | None:
    from rs.methods.counterexamples import counterexample

    try:
        return counterexample(certificate, noise, norm)
    except Exception:  # such votes or such noise it cannot have, and what it does then is not known here
        return None


def sentence(found: Counterexample, noise: dict[str, Any], norm: float) -> str:
    """What is wrong, in one line."""
    p_a, p_b, *_ = found.probabilities
    parameters = ", ".join(f"{key} {value:g}" for key, value in noise.items() if key != "name")
    votes = f"from votes of p_A = {p_a:g} and p_B = {p_b:g} under noise {noise['name']} ({parameters})"
    if math.isinf(found.claimed):
        return f"claims another class than A {votes}; such a certificate must state `rigorous = False`"
    claim = f"claims an l{norm:g} radius of {found.claimed:.3g} {votes}"
    tight = f"a classifier with these changes its class at about {found.tight:.3g}"
    return f"{claim}, but {tight}; radii must not exceed it, or the certificate states `rigorous = False`"
