"""Certificates from votes that a rule stopped: the sequence's bound at any alpha, or a refusal."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import special

from rs.errors import UserError
from rs.methods import catalog, claims
from rs.methods.certificates.cohen import Cohen, CohenLinf
from rs.methods.certificates.laplace_l1 import LaplaceL1
from rs.methods.certificates.renyi import RenyiSound
from rs.methods.noise.gaussian import Gaussian
from rs.methods.noise.laplace import Laplace
from rs.settings.sampling import Stop
from rs.stages.certified_rows import answers
from rs.statistics.draws import Draws, Votes
from rs.statistics.paired_draws import PairedDraws
from rs.statistics.sequences import upper
from rs.study.schema import method_schema


def stopped(rng, dimension=784):
    counts = rng.multinomial(900, [0.93, 0.05, 0.02], 6)
    plain, first = Draws.from_counts([90, 6, 4], counts, dimension), Votes(100 * counts)
    fixed = PairedDraws(**vars(plain), first=first, beside=counts, both=counts)
    return fixed, replace(fixed, stopping="sequential", stop=asdict(Stop(radii=(0.5,))))


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.table("certificates"))
def test_every_certificate_is_anytime_valid_or_refuses(name):
    """One that says so certifies no more than from a fixed number; any other refuses sequential draws."""
    kind = catalog.find("certificates", name)
    defaults = {"sigma": 0.5, "scale": 0.5, "k": 2, "width": 0.5}
    family = next(iter(kind.norms))
    required = method_schema("noises", family)["x-required"]
    needed = {k: defaults[k] for k in required if k in defaults}
    noise = catalog.build("noises", {"name": family, **needed})
    certificate = catalog.build("certificates", {"name": name})
    fixed, sequential = stopped(np.random.default_rng(6), dimension=20)
    if getattr(kind, "anytime", False):
        found, single = (certificate.certify(d, noise, 0.01) for d in (sequential, fixed))
        assert np.all(found.radius <= single.radius)
        assert np.all(found.radius[found.prediction >= 0] > 0)
    else:
        with pytest.raises(UserError, match=r"needs a fixed number of them|no softmax moments"):
            certificate.certify(sequential, noise, 0.01)


def test_bounds_of_stopped_draws_are_those_of_the_sequence_at_any_alpha():
    _, draws = stopped(np.random.default_rng(7))
    failures = 900 - draws.estimation.counts[:, 0]
    for alpha in (0.05, 0.001, 1e-5):
        expected = -0.5 * special.ndtri(upper(failures, 900, alpha))
        assert Cohen().certify(draws, Gaussian(0.5), alpha).radius == pytest.approx(expected, rel=1e-9)
        linf = CohenLinf().certify(draws, Gaussian(0.5), alpha).radius
        assert linf == pytest.approx(expected / 28, rel=1e-9)
    total = upper(failures, 900, 0.0005) + upper(draws.estimation.counts[:, 1], 900, 0.0005)
    assert LaplaceL1().certify(draws, Laplace(0.5), 0.001).radius == pytest.approx(-0.5 * np.log(total))


def test_which_claims_answer_what_the_votes_were_drawn_for():
    fixed, draws = stopped(np.random.default_rng(9))
    noise = Gaussian(0.5)
    found = {alpha: Cohen().certify(draws, noise, alpha) for alpha in (0.01, 0.001, 1e-4)}
    assert [answers(draws, noise, 2.0, found[alpha], alpha) for alpha in found] == [False, True, False]
    assert not answers(draws, noise, 2.0, RenyiSound().certify(draws, noise, 0.001), 0.001)
    assert not answers(draws, noise, np.inf, found[0.001], 0.001)
    assert answers(fixed, noise, 2.0, RenyiSound().certify(fixed, noise, 0.001), 0.001)


def test_randomised_bounds_refuse_stopped_draws():
    _, draws = stopped(np.random.default_rng(8))
    with pytest.raises(UserError, match="stopped by 'sequential'"):
        Cohen(randomised=True).certify(draws, Gaussian(0.5), 0.001)


def test_a_certificate_with_a_rule_of_its_own_takes_no_votes_that_another_one_stopped():
    claims.check_rule("radius", {"name": "group_sequential"}, {"rule": "tests", "alpha": 0.001})
    claims.check_rule("radius", {"name": "cohen"})
    for stop in (None, {}, {"alpha": 0.001, "radii": [0.5]}, {"rule": "another"}):
        with pytest.raises(UserError, match=r"group_sequential needs votes that its rule .*; use cohen"):
            claims.check_rule("radius", {"name": "group_sequential"}, stop)
