"""What `rs.attack` takes and refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_misuse import X, logits, message_of

import rs

TAKEN = (
    "loss, random_start, relative_step, samples, steps, radii, judge, keep_broken, seed, positions, source, "
    "progress"
)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"attack": "pgd"}, "attack: pgd: no such attack here; allowed: adre_pgd"),
        (
            {"attack": "transfer"},
            "attack: transfer: no such attack here; name the attack, and give its `source`; allowed",
        ),
        ({"radii": []}, "attack: radii"),
        ({"radii": [-1.0]}, "attack: radii: [-1.0]: give a list"),
        ({"judge": "none"}, "attack: judge"),
        ({"stepss": 3}, "attack: stepss: no such parameter (did you mean steps?)"),
        *(({k: 3}, f"attack: {k}: no such parameter; allowed: {TAKEN}") for k in ("checks", "certificate")),
        ({"eps": 0.5}, "attack: eps: no such parameter (did you mean radii?); allowed"),
        (
            {"batch_size": 8},
            "attack: batch_size: no such parameter; batch is a keyword of rs.smooth; allowed",
        ),
        ({"seed": -1}, "attack: seed: -1: must be a whole number"),
        ({"name": "pgd_linf"}, "attack: name: given twice"),
        ({"attack": {"name": "pgd_l2", "steps": 3}, "steps": 4}, "attack: steps: given twice"),
        ({"attack": {"name": "pgd_l2", "radii": [1]}}, "attack: radii: give it as an argument"),
        ({"attack": {"name": "pgd_l2", "seed": 1}}, "attack: seed: give it as an argument"),
        ({"labels": [0]}, "attack: labels: [1] for 4 images"),
        ({"source": logits}, "attack: source: a function; give a smoothed classifier"),
        ({"source": rs.smooth(logits, sigma=0.25, exact=True, device="cpu")}, "attack: source: exact noise"),
        (
            {"source": rs.smooth(lambda x: x.flatten(1)[:, :4], sigma=0.25, device="cpu")},
            "attack: source: 4 classes; smoothed: 3 classes",
        ),
        ({"labels": None}, "attack: labels: an attack needs them"),
        (
            {"model": lambda x: torch.from_numpy(x.numpy()).flatten(1)[:, :3]},
            "pgd_l2 needs them; attack it with square_linf, which takes no gradients",
        ),
    ],
)
def test_attacks(settings, line):
    smoothed = rs.smooth(settings.pop("model", logits), sigma=0.25, batch=32, device="cpu")
    given = {"labels": [0, 1, 2, 0], "attack": "pgd_l2", "radii": [0.5], "progress": False, **settings}
    found = message_of(lambda: rs.attack(smoothed, X, **given))
    assert line in found, found


def test_an_attack_on_a_network_asks_for_the_smoothed_classifier():
    line = message_of(lambda: rs.attack(torch.nn.Flatten(), X, [0, 1, 2, 0], radii=[0.5]))
    assert line == "attack: smoothed: a Flatten; give a smoothed classifier: rs.smooth(model, sigma=0.25)"


def test_an_attack_draws_by_its_own_seed_and_else_by_the_classifiers(nearest_mean, digits):
    x, y = digits

    def attacked(classifiers: int, **seed: int) -> rs.Attacked:
        smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=32, device="cpu", seed=classifiers)
        settings = {"radii": [0.3], "steps": 1, "random_start": True, "judge": 20, "progress": False}
        return rs.attack(smoothed, x[:2], y[:2], **settings, **seed)

    own = attacked(0, seed=7)
    assert torch.equal(own.images, attacked(7).images)
    np.testing.assert_array_equal(own.votes, attacked(7).votes)
    assert not torch.equal(own.images, attacked(0).images)


def test_a_source_on_another_device_is_refused():
    smoothed, source = (rs.smooth(logits, sigma=0.25, batch=32, device="cpu") for _ in range(2))
    source._ready_for(torch.from_numpy(X), "attack")
    source.device = torch.device("cuda", 1)
    line = message_of(lambda: rs.attack(smoothed, X, [0, 1, 2, 0], source=source, radii=[0.5]))
    assert line == "attack: source: on cuda:1; smoothed: on cpu"


def test_images_made_on_a_source_are_those_of_an_attack_on_it_and_judged_here(nearest_mean, digits):
    x, y = digits[0][:6], digits[1][:6]
    smoothed = rs.smooth(nearest_mean, sigma=0.25, batch=32, device="cpu", seed=1)
    source = rs.smooth(
        lambda images: nearest_mean(images.flip(-1)), sigma=0.5, batch=32, device="cpu", seed=2
    )
    settings = {"radii": [0.6], "steps": 2, "judge": 100, "progress": False}
    white_box, transferred = (rs.attack(s, x, y, **settings) for s in (source, smoothed))
    found = rs.attack(smoothed, x, y, source=source, **settings)
    assert torch.equal(found.images, white_box.images)
    assert not torch.equal(found.images, transferred.images)
    np.testing.assert_array_equal(found.votes[0], transferred.votes[0])  # the clean images, judged here
    judged = rs.attack(smoothed, found.images[1], y, **settings)
    np.testing.assert_array_equal(found.votes[1], judged.votes[0])
    base = rs.attack(smoothed, x, y, source=source, **{**settings, "judge": "base"})
    assert torch.equal(base.images, found.images)  # the source stays under its noise
    assert base.votes.sum(2).max() == 1


def test_a_source_without_noise_is_attacked_at_the_network_itself(nearest_mean, digits):
    x, y = digits[0][:3], digits[1][:3]
    smoothed, bare = (
        rs.smooth(nearest_mean, *n, batch=32, device="cpu", **s)
        for n, s in ((("gaussian",), {"sigma": 0.25}), (("none",), {}))
    )
    settings = {"radii": [0.4], "steps": 2, "judge": "base", "progress": False}
    own = rs.attack(smoothed, x, y, **settings)
    assert torch.equal(rs.attack(smoothed, x, y, source=bare, **settings).images, own.images)
