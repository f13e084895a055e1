"""Bad input to `import rs` is one line that names the place and what is allowed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import rs
from rs.methods.certificates.cohen import Cohen
from rs.methods.interfaces import Certified

X = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
COUNTS = ([[90, 10]], [[900, 100]])


def logits(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(1)[:, :3]


def message_of(call) -> str:
    with pytest.raises(rs.UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def certify(images=X, labels=None, model=logits, **settings):
    smoothed = rs.smooth(model, sigma=0.25, batch=32)
    return smoothed.certify(images, labels, **{"n": 20, "progress": False, **settings})


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("resnet18", "smooth: model: a str cannot be called"),
        (nn.Linear(64, 3).half(), "model: weight is float16; give it in float32"),
        (
            nn.LazyLinear(3),
            "smooth: model: weight has no shape before a first pass (a lazy module); call the",
        ),
        (nn.Linear(64, 3, device="meta"), "smooth: model: weight has a shape and no values (device meta)"),
        (lambda x: logits(x).numpy(), "returns a ndarray, .*wrap it: lambda x: torch.from_numpy(model(x))"),
        (
            lambda x: {"logits": logits(x)},
            "returns a dict, .*lambda x: model(x)['logits']",
        ),
        (lambda x: SimpleNamespace(logits=logits(x)), "wrap it: lambda x: model(x).logits"),
        (lambda x: (logits(x), None), "wrap it: lambda x: model(x)[0]"),
        (lambda x: x.flatten(), "returns [128] for 2 images of 1x8x8; it must be logits"),
        (lambda x: logits(x)[:, :1], "returns [2, 1] for 2 images"),
        (lambda x: logits(x).argmax(1, keepdim=True).expand(-1, 2), "returns int64 numbers"),
        (nn.Conv2d(3, 8, 3), "fails on 2 float32 images of 1x8x8 in [0, 1]: RuntimeError"),
        (
            nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False)),
            "other images of the batch",
        ),
        (lambda x: logits(x + torch.rand_like(x)), "draws at random in evaluation mode"),
    ],
)
def test_models(model, line):
    found = message_of(lambda: certify(model=model))
    assert all(part in found for part in line.split(".*")), found


@pytest.mark.parametrize(
    ("images", "line"),
    [
        ((X * 255).astype(np.uint8), "images: uint8; allowed floating-point numbers in [0, 1]"),
        (X * 255, "allowed [0, 1]: images / 255"),
        (X / X.max() * np.float32(1.000001), "to 1.00000095; allowed [0, 1]: what rounding added can be"),
        (X * 4 - 2, "allowed [0, 1]: normalisation belongs into the model"),
        (X[0], "images: [1, 8, 8]; allowed [N, C, H, W] (one image: images[None])"),
        (X[:0], "images: [0, 1, 8, 8]; allowed [N, C, H, W]; there are no images"),
        (X.transpose(0, 2, 3, 1), "images: [4, 8, 8, 1] has its channels last"),
        (torch.from_numpy(X).to_sparse(), "images: a tensor sparse_coo; give a plain one"),
        (torch.empty(X.shape, device="meta"), "images: a tensor without values (device meta)"),
        (np.where(X[2].max() == X, np.nan, X), "images: image 2 has values that are not finite"),
    ],
)
def test_images(images, line):
    assert line in message_of(lambda: certify(images))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"labels": [0, 1]}, "certify: labels: [2] for 4 images; give one label per image"),
        ({"labels": [0, 1, 2, 3]}, "certify: labels: 3 is no class; allowed 0 to 2"),
        ({"labels": [0.0, 1.0, 2.0, 0.0]}, "certify: labels: float64; allowed whole numbers"),
        ({"labels": [[0], [1, 2], 2, 0]}, "certify: labels: rows of several lengths; give one label"),
        ({"positions": [[0], [1, 2]]}, "positions: rows of several lengths; give a whole number from 0"),
        ({"betas": None}, "certify: betas: None: must be a list"),
        ({"alpha": None}, "certify: alpha: None"),
        ({"positions": [0, 1, 1, 2]}, "positions: each position once"),
        ({"positions": [0, 1]}, "positions: give a whole number from 0 for each of 4 images"),
        ({"n": 9}, "n = 9: votes certify nothing at alpha = 0.001; at least 10 for cohen"),
        ({"n": 0}, "certify: n: 0"),
        ({"n0": 2.5}, "certify: n0: 2.5"),
        ({"alpha": 0}, "certify: alpha: 0"),
        ({"certificate": "cohenn"}, "certificate cohenn: no such certificate; allowed: bilateral"),
        (
            {"certificate": "laplace_l1"},
            "has no theorem for noise gaussian; it has for laplace; for gaussian there are bilateral, cohen",
        ),
        (
            {"certificate": {"name": "cohen", "alpha": 0.5}},
            "certificate: alpha: no such parameter; allowed:",
        ),
        ({"certificate": 3}, "certificate: 3: give a name, or a mapping"),
        (
            {"randomized": True},
            "randomized: no such parameter (did you mean randomised?); allowed: randomised, n",
        ),
        ({"randomised": 2}, "cohen.randomised: 2: must be true or false"),
        ({"stop": {"radii": [0.1], "width": 0.1}}, "stop: give one of radii and width"),
        ({"stop": [0.2]}, "certify: stop: [0.2]: must be a dictionary"),
        ({"stop": {"radius": [0.1]}}, "certify: stop: radius: no such key; allowed: alpha, radii, width"),
        ({"stop": {"radii": [0.1]}, "certificate": "tcertify"}, "tcertify needs a fixed number of votes"),
        ({"certificate": "group_sequential"}, "needs votes that its rule stopped, as a study draws them by"),
        ({"certificate": "group_sequential", "stop": {"radii": [0.1]}}, "sampling.rule: tests; use cohen"),
        (
            {"stop": {"radii": [1.0]}},
            "n = 32: votes decide nothing at alpha = 0.001; the first decision needs",
        ),
        (
            {"stop": {"radii": [9]}},
            "certify: stop: radii: no allowed n certifies radius 9 at sigma 0.25; n is at",
        ),
        ({"stop": {"radii": 0.25}}, "certify: stop: radii: 0.25: give a list of numbers from 0: [0.25]"),
    ],
)
def test_what_is_asked_of_images(settings, line):
    found = message_of(lambda: certify(**settings))
    assert line in found, found


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"noise": "gausian"}, "smooth: noise gausian: no such noise; allowed: gaussian"),
        ({}, "gaussian.sigma: lacks this key"),
        ({"sigma": -1}, "gaussian.sigma: -1: must be 0 or a number at least"),
        ({"sigma": float("nan")}, "gaussian.sigma: nan"),
        ({"scale": 0.5}, "smooth: scale: no such parameter; allowed: exact, sigma"),
        ({"noise": {"name": "gaussian", "sigma": 1}, "sigma": 1}, "sigma: given twice"),
        ({"sigma": 1, "precision": "float16"}, "smooth: precision: 'float16': must be 'float32', "),
        ({"sigma": 1, "batch": 100}, "smooth: batch: 100"),
        ({"sigma": 1, "device": "tpu"}, "device: 'tpu'; allowed auto, cpu, cuda"),
        ({"sigma": 1, "allow": "chance"}, "allow: 'chance'; allowed: ['chance']"),
        ({"sigma": 1, "allow": [["chance"]]}, "allow: [['chance']]; allowed: ['chance']"),
        ({"sigma": 1, "allow": None}, "allow: None; allowed: ['chance']"),
        ({"sigma": 1, "seed": -1}, "smooth: seed: -1"),
    ],
)
def test_noise_and_form(settings, line):
    found = message_of(lambda: rs.smooth(logits, **settings))
    assert line in found, found


def test_what_no_certificate_speaks_of():
    assert "greater than 0 to certify" in message_of(lambda: rs.smooth(logits, sigma=0).certify(X))
    assert "no theorem for noise none" in message_of(lambda: rs.smooth(logits, "none").certify(X))


def test_predictions_and_another_size():
    smoothed = rs.smooth(logits, sigma=0.25, batch=32)
    assert "n = 10: abstains from everything at alpha = 0.001; at least 11" in message_of(
        lambda: smoothed.predict(X, n=10)
    )
    assert "alpha: 2" in message_of(lambda: smoothed.predict(X, alpha=2))
    assert "predict: n: 'many': must be a valid integer" in message_of(lambda: smoothed.predict(X, n="many"))
    smoothed.predict(X, n=11, progress=False)
    other = np.zeros((1, 1, 9, 9), np.float32)
    assert "images of 1x9x9, but this classifier has its form for 1x8x8" in message_of(
        lambda: smoothed.predict(other)
    )


def test_a_network_in_a_function_is_told_to_leave_training_mode():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5)).train()
    in_function = message_of(lambda: certify(model=lambda x: network(x), n=100))
    assert in_function.endswith("; a network inside a function keeps its mode: call its eval()")
    assert (certify(model=network, n=100).prediction >= -1).all()  # a module is put into evaluation mode

    class Drawing(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1) + torch.randn(len(x), 1)

    assert "eval()" not in message_of(lambda: certify(model=Drawing(), n=100))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: rs.certify_counts(COUNTS), "gaussian.sigma: lacks this key"),
        (lambda: rs.certify_counts([[1, 2]], sigma=1), "counts: give (selection, estimation)"),
        (lambda: rs.certify_counts(([1, 2], [1, 2, 3]), sigma=1), "selection is (1, 2), estimation (1, 3)"),
        (
            lambda: rs.certify_counts(([0.5, 2], [1, 2]), sigma=1),
            "selection counts: float64 [1, 2];",
        ),
        (lambda: rs.certify_counts(([1, 2], [-1, 2]), sigma=1), "estimation counts: -1 is negative"),
        (lambda: rs.certify_counts(([1, 2], [0, 0]), sigma=1), "image 0 has 0 votes; must be 1 to"),
        (lambda: rs.certify_counts(([[1, 2], [3]], [1, 2]), sigma=1), "rows of several lengths"),
        (lambda: rs.certify_counts(COUNTS, sigma=1, randomised=True), "needs uniform, a number in [0, 1)"),
        (lambda: rs.certify_counts(COUNTS, sigma=1, uniform=1.0), "uniform: give a number in [0, 1)"),
        (
            lambda: rs.certify_counts(COUNTS, "cohen_linf", sigma=1),
            "give dimension: the linf radius",
        ),
        (lambda: rs.certify_counts(COUNTS, "cohen_linf", sigma=1, dimension=0), "dimension: 0: must be"),
        (lambda: rs.certify_counts(COUNTS, "soft_bernstein", sigma=1), "needs softmax moments at beta = 1"),
        (lambda: rs.certify_counts(COUNTS, alpha=None, sigma=1), "certify_counts: alpha: None: must be a"),
        (lambda: rs.certify_counts(COUNTS, sigma=1, uniform=[[1], [1, 2]]), "uniform: a list that is no"),
        (lambda: rs.radius([[1], [2, 3]], [1, 2], sigma=1), "radius: selection: rows of several lengths"),
        (lambda: rs.read(None), "read: a NoneType; give the folder of a study that ran"),
        (lambda: rs.radius([[1, 2]], [[3, 4]], sigma=1), "radius: selection: give one count per class"),
        (lambda: rs.read("no/such"), "read: no/such: no such folder; give the folder of a study that ran"),
    ],
)
def test_counts_and_tables(call, line):
    found = message_of(call)
    assert line in found, found


def test_counts_that_know_their_noise_take_no_other():
    counts = certify().counts
    for noise in ("laplace", "gaussian"):
        assert "leave them out" in message_of(lambda noise=noise: rs.certify_counts(counts, noise=noise))
    assert "sigma: no such parameter" in message_of(lambda: rs.certify_counts(counts, sigma=0.5))
    assert "no labels were given" in message_of(lambda: certify().certified_accuracy())
    assert "[2] for 4 images" in message_of(lambda: counts.labelled([0, 1]))


@pytest.mark.parametrize(
    ("needed", "method"), [("dimension", "cohen_linf"), ("uniform", {"name": "cohen", "randomised": True})]
)
def test_counts_certify_nothing_that_rests_on_what_they_came_without(needed, method):
    """Their draws have stand-ins, such as the size of an image."""
    known = {"sigma": 1, "dimension": 48, "uniform": 0.9}
    bare, whole = rs.certify_counts(COUNTS, sigma=1).counts, rs.certify_counts(COUNTS, **known).counts
    line = message_of(lambda: rs.certify_counts(bare.labelled([0]), method))
    assert f"{needed} where the counts are made" in line
    assert rs.certify_counts(whole, method).radius == rs.certify_counts(COUNTS, method, **known).radius


@pytest.mark.parametrize("radii", [0.5, np.float64(0.5), "0.5", [-1.0], [np.nan], [[0.5]], ["a"], None])
def test_radii_are_a_list_of_numbers_everywhere(radii):
    found = certify(labels=[0, 1, 2, 0], n=100)
    for verb, call in (
        ("certified_accuracy", lambda: found.certified_accuracy(radii)),
        ("attack", lambda: rs.attack(rs.smooth(logits, sigma=0.25), X, [0, 1, 2, 0], radii=radii)),
    ):
        line = message_of(call)
        assert line.startswith(f"{verb}: radii: "), line
        assert "give a list of numbers from 0" in line
        assert line.endswith(": [0.5]") == (not isinstance(radii, str | list | None))
    assert len(found.certified_accuracy(np.array([0, 0.5]))) == 2


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "README.md").write_text("precious")
    assert "README.md: no table (*.parquet); give the folder of a study" in message_of(
        lambda: rs.read(tmp_path / "README.md")
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda found: None, "certificate cohen: `certify` returned None; must be"),
        (lambda found: Certified(found.prediction + 100, found.radius), "prediction 10"),
        (lambda found: Certified(found.prediction, found.radius[:1]), "radii of shape (1,), not (4,)"),
    ],
)
def test_the_answer_of_a_broken_certificate_is_no_claim(change, line, monkeypatch):
    """As in a study: tests/stages/test_broken_certificates.py."""
    own = Cohen.certify
    monkeypatch.setattr(Cohen, "certify", lambda self, *given: change(own(self, *given)))
    found = message_of(lambda: certify(n=100))
    assert "certificate cohen: " in found.lower()
    assert line in found
