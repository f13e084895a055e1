"""What a study asks must be possible: votes for every certificate, noise that it can use, references."""

from __future__ import annotations

import pytest


def test_sigma_0_and_no_noise_are_fine_without_a_certificate(tiny, plan_of):
    tiny["certificates"] = []
    tiny["noise"] = {"name": "gaussian", "sigma": 0}
    assert plan_of(tiny).jobs["attack"]
    tiny["noise"] = {"name": "none"}
    assert not plan_of(tiny).jobs["sample"]


@pytest.mark.parametrize(("alpha", "least"), [(0.001, 10), (0.5, 2), (0.25, 3)])
def test_too_few_votes_for_alpha(tiny, plan_of, refusal, alpha, least):
    tiny["certificates"][0]["alpha"] = alpha
    tiny["sampling"] |= {"n": least, "block": 1}
    plan_of(tiny)
    tiny["sampling"]["n"] = least - 1
    assert f"sampling.n: {least - 1} votes certify nothing at alpha = {alpha}; at least {least}" in refusal(
        tiny
    )


def test_an_objective_that_cannot_train_under_a_noise(tiny, refusal):
    tiny["certificates"] = []
    tiny["noise"] = {"name": "laplace", "scale": 0.1}
    tiny["runs"]["gaussian"]["objective"] = {"name": "macer"}
    assert "noise: macer trains under gaussian, not laplace" in refusal(tiny)


def test_two_labels_for_one_training(tiny, refusal):
    tiny["runs"]["again"] = {"objective": {"name": "gaussian"}, "certificates": []}
    assert "runs.again: trains exactly what gaussian trains" in refusal(tiny)


@pytest.mark.parametrize(
    ("certificate", "noise", "least"),
    [
        ({"name": "soft_bernstein"}, "gaussian", 37),
        ({"name": "soft_hoeffding"}, "gaussian", 14),
        ({"name": "bilateral"}, "gaussian", 11),
        ({"name": "dual"}, "mixed_norm", 11),
        ({"name": "tcertify_sound", "mode": "grid"}, "gaussian", 11),
        ({"name": "renyi", "abstain_on_overlap": True, "sample": "pooled"}, "gaussian", 9),
        ({"name": "renyi", "abstain_on_overlap": True, "intervals": "sison_glaz"}, "gaussian", 1),
        ({"name": "renyi"}, "gaussian", 1),
    ],
)
def test_too_few_votes_for_a_certificate(tiny, plan_of, refusal, certificate, noise, least):
    tiny |= {"noise": {"name": noise, "sigma": 1}, "attacks": [], "certificates": [certificate]}
    tiny["runs"] = {"gaussian": {"objective": {"name": "gaussian"}}}
    tiny["sampling"] |= {"n0": 2, "n": least, "block": 1, "betas": [1]}
    assert plan_of(tiny).jobs["certify"]
    if least > 1:
        tiny["sampling"]["n"] = least - 1
        assert f"at least {least} for {certificate['name']}" in refusal(tiny)


@pytest.mark.parametrize(("certificate", "limit"), [("dual", 63.9), ("bilateral", 63.9), (None, 64)])
def test_k_leaves_room_for_the_certificates_law(tiny, plan_of, refusal, certificate, limit):
    tiny["noise"] = {"name": "spherical", "sigma": 1, "k": limit}
    tiny["certificates"] = [{"name": certificate}] if certificate else []
    assert f"noise.k: {limit}: must be below {limit} for these images" in refusal(tiny)
    tiny["noise"]["k"] = limit - 0.01
    assert plan_of(tiny).runs


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lambda_start": 2, "lambda_end": 1}, "lambda_end: 1: must be at least lambda_start, 2"),
        ({"lambda_step": 1e-4}, "lambda_step: 0.0001: lambda_start to lambda_end must be at most 10000"),
    ],
)
def test_a_grid_of_multipliers_holds_some_and_not_too_many(tiny, refusal, given, says):
    tiny["certificates"] = [{"name": "dual_published", **given}]
    assert f"certificates[0].{says}" in refusal(tiny)


def test_soft_certificates_need_their_beta_sampled(tiny, plan_of, refusal):
    tiny["certificates"] = [{"name": "soft_hoeffding", "beta": 16}]
    assert "certificates[0]: beta 16: must be one of sampling.betas []" in refusal(tiny)
    tiny["sampling"]["betas"] = [1, 16.0]
    assert plan_of(tiny).jobs["certify"]


def test_published_accuracies_are_at_radii_that_their_attack_has(tiny, plan_of, refusal):
    numbers = {"attack": "pgd_l2", "radii": [0, 0.5], "empirical_accuracy": [0.9, 0.5]}
    label = tiny["attacks"][0]["label"] = "pgd_l2"
    tiny["published"] = [{"paper": "STN", "table": "Table 1", "run": ["gaussian", "nal"], **numbers}]
    assert plan_of(tiny).runs  # 0 is always attacked
    tiny["published"][0]["radii"] = [0, 0.75]
    says = f"published[0].radii: radius 0.75 is not among those of gaussian's attack {label}; allowed: 0, 0.5"
    assert says in refusal(tiny)
