"""What callers of other libraries write: their words for a keyword, a loader for images, another noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_misuse import COUNTS, X, certify, logits, message_of
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import rs


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: certify(N=9),
            "certify: N: no such parameter (did you mean n?); allowed: randomised, n, alpha",
        ),
        (lambda: certify(num_samples=9), "num_samples: no such parameter (did you mean n?)"),
        (lambda: certify(n_samples=9), "n_samples: no such parameter (did you mean n?)"),
        (lambda: certify(N0=9), "N0: no such parameter (did you mean n0?)"),
        (
            lambda: certify(batch_size=8),
            "batch_size: no such parameter; batch is a keyword of rs.smooth; allowed",
        ),
        (lambda: certify(sigma=0.5), "sigma: no such parameter; sigma is a keyword of rs.smooth; allowed"),
        (lambda: rs.smooth(logits, noise_sd=1), "(did you mean sigma?); allowed: exact, sigma, seed, device"),
        (lambda: rs.smooth(logits, sigma=1, N=9), "N: no such parameter; n is a keyword of certify; allowed"),
        (lambda: rs.smooth(logits, 0.25), "noise: 0.25: give a name, .*; its level is a keyword: sigma=0.25"),
        (
            lambda: rs.certify_counts(COUNTS, 0.25),
            "certificate: 0.25: give a name, or a mapping with name and",
        ),
        (
            lambda: rs.certify_counts(COUNTS, std=1),
            "(did you mean sigma?); allowed: exact, sigma, randomised, noise",
        ),
    ],
)
def test_the_line_of_an_unknown_keyword_names_the_one_that_is_meant(call, line):
    found = message_of(call)
    assert all(part in found for part in line.split(".*")), found


BATCHES = TensorDataset(torch.from_numpy(X), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize(
    ("images", "kind", "how"),
    [
        (
            DataLoader(BATCHES, batch_size=3),
            "a DataLoader",
            "images, labels = map(torch.cat, zip(*loader)), of a loader that does not shuffle",
        ),
        (BATCHES, "a TensorDataset", "torch.stack([image for image, _ in dataset]), and the labels likewise"),
        ([*torch.from_numpy(X)], "a list", "torch.stack(images)"),
        ((*torch.from_numpy(X).split(3),), "a tuple", "torch.cat(images)"),
        ([*X], "a list", "np.stack(images)"),
        ([X[:3], X[3:]], "a list", "np.concatenate(images)"),
        (X.tolist(), "a list", "np.array(images, np.float32)"),
    ],
)
def test_what_holds_images_is_answered_with_how_to_make_a_tensor_of_them(images, kind, how):
    line = message_of(lambda: certify(images=images))
    assert line == f"certify: images: {kind}; give a tensor or array [N, C, H, W]: {how}"
    names = {"torch": torch, "np": np, "images": images, "loader": images, "dataset": images}
    code = how.partition(" = ")[2].partition("), of")[0] + ")" if " = " in how else how.partition(", and")[0]
    made = eval(code, names)
    assert np.array_equal(np.asarray(next(iter(made)) if " = " in how else made), X)


def test_what_is_no_image_at_all_is_named():
    assert (
        message_of(lambda: certify(images=3)) == "certify: images: a int; give a tensor or array [N, C, H, W]"
    )


def test_a_certificate_without_a_theorem_is_answered_with_those_that_have_one():
    line = message_of(lambda: rs.smooth(logits, "laplace", scale=0.1).certify(X))
    only = "certify: certificate cohen has no theorem for noise laplace; it has for gaussian"
    assert line == f"{only}; for laplace there are laplace_l1, neyman_pearson, pixeldp, pixeldp_soft"
    assert message_of(lambda: rs.smooth(logits, "none").certify(X)).endswith("; no certificate has for none")


def test_a_network_that_draws_is_told_how_python_allows_it():
    class Drawing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) + torch.randn(len(x), 1)

    line = message_of(lambda: certify(model=Drawing()))
    assert line.endswith("allow chance (rs.smooth(..., allow=['chance'])), which is then recorded")


def test_a_second_networks_radii_that_no_votes_reach_are_named():
    smoothed = rs.smooth(logits, sigma=0.25, batch=32)
    first = smoothed.certify(X, n=100, progress=False)
    line = message_of(lambda: smoothed.certify_from(smoothed, first, X, stop={"radii": [9]}))
    assert line.startswith("certify_from: stop: radii: no allowed n certifies radius 9 at sigma 0.25")
