"""What a table of radii lets pass, what a sampled one spends its error on, and that its samples are right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rs.methods.certificates import dual_published
from rs.methods.certificates.divergence_table import DivergenceTable, sampled_table
from rs.methods.certificates.dual import Dual
from rs.methods.certificates.dual_published import DualPublished
from rs.methods.certificates.ratio_laws import MixedNormLaw, SphericalLaw, SupNormLaw
from rs.methods.noise.mixed_norm import MixedNorm
from rs.methods.noise.spherical import Spherical
from rs.statistics.draws import Draws

LAW = MixedNormLaw(5, 3.0)


class Recorded:
    """The law of `SphericalLaw(5, 2.5)`, which keeps the seed and the size of every sample."""

    def __init__(self):
        self.samples = []

    def sample(self, n, generator):
        self.samples.append((generator.initial_seed(), n))
        return SphericalLaw(5, 2.5).sample(n, generator)


def test_no_two_samples_of_any_tables_share_a_seed():
    """The multipliers are chosen by one sample and bounded by another, of as many draws as the bound says."""
    law = Recorded()
    for seed in range(3):
        sampled_table(law, 1000 + seed, seed, 0.01)
    assert len({seed for seed, _ in law.samples}) == len(law.samples) == 6
    assert [n for _, n in law.samples[1::2]] == [1000, 1001, 1002]


def test_the_published_procedure_chooses_by_one_sample_and_decides_by_another(monkeypatch):
    law = Recorded()
    monkeypatch.setattr(dual_published, "law_of", lambda noise, d: law)
    certificate = DualPublished(first_draws=300, draws=700, radii=5, seed=6)
    certificate.certify(Draws.from_counts([[90, 10]], [[990, 10]], 5), Spherical(0.5, 2.5), 0.05)
    assert law.samples == [(6, 300), (6, 700)]  # one generator, which goes on


def test_a_sampled_margin_is_below_the_mean_by_massart_s_width():
    strict, loose = (sampled_table(LAW, 1000, 0, error).margin for error in (1e-6, 1e-2))
    widths = [math.sqrt(math.log(1 / error) / 2000) for error in (1e-6, 1e-2)]
    assert np.allclose(loose - strict, widths[0] - widths[1])
    above = loose + widths[1]  # means of what lies between -1/2 and 1/2, rounded down by 1e-9
    assert above.min() > -0.5 - 1e-8
    assert 0.49 < above.max() <= 0.5


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_the_votes_get_what_the_table_leaves(share):
    """990 votes of 1000: Clopper-Pearson at (1 - share) alpha, the table at share * alpha."""
    alpha, noise = 0.05, MixedNorm(0.5, 3.0)
    draws = Draws.from_counts([[90, 10]], [[990, 10]], 5)
    (found,) = Dual(table_share=share, table_draws=2000, table_seed=4).certify(draws, noise, alpha).radius
    q = stats.beta.isf((1 - share) * alpha, 11, 990)
    (radius,) = sampled_table(LAW, 2000, 4, share * alpha).radius(np.array([q]))
    assert found > 0
    assert found == pytest.approx(noise.scale(5) * radius)


def test_a_table_s_seed_is_its_own():
    draws, noise = Draws.from_counts([[90, 10]], [[990, 10]], 5), MixedNorm(0.5, 3.0)
    kinds = [Dual(table_draws=2000, table_seed=seed) for seed in (0, 1)]
    first, second = (kind.certify(draws, noise, 0.05).radius[0] for kind in kinds)
    assert first != second


def test_a_radius_counts_only_where_all_smaller_ones_pass():
    """Scores margin - q, by hand; a score of 0 does not pass."""
    margin = np.array([0.3, 0.1, 0.25, 0.2, 0.08])
    table = DivergenceTable(np.arange(1.0, 6.0), np.zeros((5, 1)), margin[:, None])
    q = np.array([0.05, 0.1, 0.15, 0.3])
    assert table.radius(q).tolist() == [5, 1, 1, 0]
    assert table.bilateral(q, q).tolist() == [5, 1, 1, 0]
    assert table.bilateral(np.array([0.05]), np.array([0.18])).tolist() == [1]


@pytest.mark.parametrize("law", [SphericalLaw(5, 2.5), SupNormLaw(5, 3.0)])
def test_samples_of_a_law_have_its_distribution(law):
    """Within the band of Dvoretzky, Kiefer, Wolfowitz and Massart at an error of 1e-9."""
    n, r = 100_000, np.full(9, 0.7)
    drawn = law.sample(n, torch.Generator().manual_seed(3))(0.7)
    t = np.quantile(drawn, np.linspace(0.1, 0.9, 9))
    below = (drawn[:, None] <= t).mean(0) - 0.5  # as `distribution` counts it
    assert np.abs(below - law.distribution(r, t)[0]).max() < math.sqrt(math.log(2e9) / (2 * n))
