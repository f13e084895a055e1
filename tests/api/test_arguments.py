"""Arguments of `import rs` as callers hold them: quoted numbers, tensors on other devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_misuse import COUNTS, X, logits, message_of

import rs


def test_numbers_in_quotes_are_the_numbers_or_refused():
    smoothed = rs.smooth(logits, sigma=0.25, batch="32", seed="3", device="cpu")
    plainly = rs.smooth(logits, sigma=0.25, batch=32, seed=3, device="cpu")
    for given in ({"n": "100", "alpha": "0.01"}, {"n": "100", "stop": {"radii": ["0.1"]}}):
        found, expected = (
            s.certify(X, progress=False, **of)
            for s, of in (
                (smoothed, given),
                (plainly, {**given, "n": 100, "alpha": float(given.get("alpha", 0.001))}),
            )
        )
        assert found.counts.estimation.tolist() == expected.counts.estimation.tolist()
        assert found.alpha == expected.alpha
    assert (
        smoothed.predict(X, n="100", progress=False).tolist()
        == plainly.predict(X, n=100, progress=False).tolist()
    )
    claim = rs.radius([90, 10], [900, 100], alpha="0.1", sigma=1)
    assert claim == rs.radius([90, 10], [900, 100], alpha=0.1, sigma=1)


@pytest.mark.parametrize("stop", [[0.1], None, "0.1"])
def test_a_second_network_is_told_where_to_stop(stop):
    smoothed = rs.smooth(logits, sigma=0.25, batch=32)
    first = smoothed.certify(X, n=100, progress=False)
    line = message_of(lambda: smoothed.certify_from(smoothed, first, X, stop=stop))
    assert line == f"certify_from: stop: {stop!r}: must be a dictionary"


class OnAnotherDevice:
    """An array as a tensor on a GPU holds it: numpy cannot reach it, and it has to be fetched."""

    def __init__(self, values):
        self.values = values

    def __array__(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")

    def detach(self):
        return self

    def cpu(self):
        return np.asarray(self.values)


def test_tensors_may_be_on_any_device_and_have_gradients():
    smoothed, labels = rs.smooth(logits, sigma=0.25, batch=32, device="cpu"), [0, 1, 2, 0]
    found = smoothed.certify(
        X, OnAnotherDevice(labels), n=100, positions=OnAnotherDevice([4, 5, 6, 7]), progress=False
    )
    assert found.labels.tolist() == labels
    assert found.counts.images.tolist() == [4, 5, 6, 7]
    votes = tuple(map(OnAnotherDevice, COUNTS))
    drawn = rs.certify_counts(
        votes, sigma=1, randomised=True, uniform=torch.tensor([0.5], requires_grad=True)
    )
    assert drawn.radius == rs.certify_counts(COUNTS, sigma=1, randomised=True, uniform=0.5).radius
    radii = torch.tensor([0.0, 0.25], requires_grad=True)
    assert found.certified_accuracy(radii)["radius"].tolist() == [0.0, 0.25]
    nowhere = torch.zeros(4, dtype=torch.int64, device="meta")
    assert "labels: a Tensor that is no array; give one label per image" in message_of(
        lambda: smoothed.certify(X, nowhere)
    )


def test_a_gpu_that_the_machine_lacks_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    line = message_of(lambda: rs.smooth(logits, sigma=1, device="cuda:7"))
    assert line == "smooth: device: 'cuda:7': torch finds 2 GPUs; allowed auto, cpu, cuda:0, cuda:1"
    assert str(rs.smooth(logits, sigma=1, device="cuda:1").device) == "cuda:1"
