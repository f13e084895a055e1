"""The caller's model: the copy of a module, or a function as it is, and its networks as they were found."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_misuse import X, message_of
from torch import Tensor, nn

import rs
from rs.api.inputs import Model
from rs.api.smoothed import SmoothedClassifier

CHANGED = "the network has changed since rs.smooth copied it; call rs.smooth again"
MODE = "a network inside a function keeps its mode: call its eval()"


@pytest.fixture
def network() -> nn.Module:
    return made(0)


def made(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def smooth(model: Model, **settings: object) -> SmoothedClassifier:
    return rs.smooth(model, sigma=0.25, batch=32, device="cpu", **settings)


def votes(smoothed: SmoothedClassifier) -> list[list[int]]:
    return smoothed.certify(X, n=100, progress=False).counts.estimation.tolist()


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def in_data(network: nn.Module) -> None:
    network[4].weight.data.mul_(2)  # no version counter counts this


def statistics(network: nn.Module) -> None:
    network.train()(torch.rand(8, 1, 8, 8))  # a pass in training mode


def replaced(network: nn.Module) -> None:
    network[4] = nn.Linear(144, 3)


def narrowed(network: nn.Module) -> None:
    network.half()


@pytest.mark.parametrize("change", [in_data, statistics, replaced, narrowed])
def test_a_module_that_changed_since_its_copy_is_refused_by_every_call(network, change):
    smoothed = smooth(network)
    found = smoothed.certify(X, n=100, progress=False)
    change(network)
    for call in (
        lambda: smoothed.certify(X, n=100),
        lambda: smoothed.predict(X, n=100),
        lambda: smoothed.certify_from(smoothed, found, X, n=100, stop={"radii": [0.1]}),
        lambda: rs.attack(smoothed, X, [0] * 4, radii=[0.1]),
    ):
        assert CHANGED in message_of(call)


def test_a_module_is_copied_by_smooth_and_not_by_the_first_vote(network):
    smoothed, before = smooth(network), votes(smooth(made(0)))
    own = state(network)
    network.load_state_dict(made(1).state_dict())
    assert CHANGED in message_of(lambda: votes(smoothed))
    network.load_state_dict(own)  # the same weights in other places
    network.train()
    assert votes(smoothed) == before
    network.register_buffer("grid", torch.zeros(2))  # as a network that keeps what it computes when called
    assert votes(smoothed) == before


GLOBAL: nn.Module = nn.Identity()  # of as_a_global


class Holder:
    """A callable that holds its network in an attribute and cannot be copied."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, images: Tensor) -> Tensor:
        return self.network(images)

    def __deepcopy__(self, memo: object) -> Holder:
        raise TypeError("holds an open file")


@pytest.fixture
def as_a_global(network, monkeypatch) -> Callable[[Tensor], Tensor]:
    monkeypatch.setitem(globals(), "GLOBAL", network)
    return lambda images: GLOBAL(images)


WAYS: dict[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "closure": lambda network: lambda images: network(images),
    "container": lambda network: lambda images, of=[[network]]: of[0][0](images),
    "partial": lambda network: functools.partial(torch.func.functional_call, network, {}),
    "bound": lambda network: network.forward,
    "attribute": Holder,
}


@pytest.mark.parametrize("way", [*WAYS, "global"])
def test_a_function_votes_with_its_networks_as_they_are(way, network, as_a_global):
    network.eval()
    smoothed = smooth(WAYS[way](network) if way in WAYS else as_a_global)
    first = votes(smoothed)
    ready = smoothed._ready
    assert first == votes(smooth(network))
    assert votes(smoothed) == first
    assert smoothed._ready is ready  # nothing has changed, so nothing is audited again
    network.load_state_dict(made(1).state_dict())
    assert votes(smoothed) == votes(smooth(network)) != first
    assert smoothed._ready is not ready


def test_a_function_may_call_another_network_later(network, as_a_global):
    smoothed = smooth(as_a_global)
    network.eval()
    assert votes(smoothed) == votes(smooth(network))
    globals()["GLOBAL"] = later = made(1).eval()
    assert votes(smoothed) == votes(smooth(later))
    globals()["GLOBAL"] = made(2).train()
    assert "a BatchNorm2d is in training mode" in message_of(lambda: votes(smoothed))
    globals()["GLOBAL"] = None
    assert "model: fails on 2 float32 images" in message_of(lambda: votes(smoothed))


@pytest.mark.parametrize("way", [*WAYS, "global"])
def test_a_function_whose_network_trains_is_refused_and_its_network_left_as_it_was(way, network, as_a_global):
    network.eval()
    smoothed = smooth(WAYS[way](network) if way in WAYS else as_a_global)
    votes(smoothed)
    network.train()
    before = state(network)
    for again in (smoothed, smooth(smoothed._model.function)):
        line = message_of(lambda again=again: votes(again))
        assert "a BatchNorm2d is in training mode" in line
        assert line.endswith(MODE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    assert len(votes(smoothed)) == 4


class Rebinding(nn.Module):
    """Counts its passes in training mode as older batch norms did: its buffer is then another tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.passes = self.passes + 1
            raise RuntimeError("and fails")
        return images.flatten(1)[:, :3]


def test_a_buffer_that_is_another_tensor_after_a_pass_that_failed_is_restored():
    network = Rebinding()
    own = network.passes
    assert "and fails" in message_of(lambda: votes(smooth(lambda images: network(images))))
    assert network.passes is own
    assert float(own) == 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_scripted_network_in_a_function_is_left_as_it_was(network):
    scripted = torch.jit.script(network.train())
    before = state(scripted)
    assert MODE in message_of(lambda: votes(smooth(lambda images: scripted(images))))
    assert all(torch.equal(value, before[name]) for name, value in scripted.state_dict().items())


def test_modules_without_buffers_may_be_in_training_mode(network):
    """Normalisation as torchvision's transforms do it, or a layer that is made in the function."""
    network.eval()
    shift = nn.Sequential(nn.Identity(), nn.Upsample(size=8))
    assert votes(smooth(lambda images: nn.Softmax(1)(network(shift(images))))) == votes(smooth(network))


def test_chance_on_request_may_come_from_dropout_in_training_mode(network):
    dropout, network = nn.Dropout(0.5), network.eval()

    def drawing(images: Tensor) -> Tensor:
        return network(dropout(images))

    assert MODE in message_of(lambda: votes(smooth(drawing)))
    assert len(votes(smooth(drawing, allow=["chance"]))) == 4


def test_a_weak_draw_that_a_batch_shares_is_refused(network):
    """A tenth of the logits' variance, shared by 512 votes, leaves 10 independent ones."""
    network.eval()

    def drawing(share: float):
        def model(images: Tensor) -> Tensor:
            own, shared = torch.randn(len(images), 3), torch.randn(1, 3)
            return network(images) + 9 * ((1 - share) ** 0.5 * own + share**0.5 * shared)

        return model

    alone, together = (rs.smooth(drawing(s), sigma=0.25, allow=["chance"], device="cpu") for s in (0.0, 0.1))
    assert len(votes(alone)) == 4
    message = message_of(lambda: votes(together))
    assert "shared by the images of a batch: 512 votes vary as" in message


def test_a_function_is_not_told_of_forms_that_only_modules_have(network):
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smoothed = smooth(lambda images: network(images))
        found = smoothed.certify(X, n=100, progress=False)
        rs.attack(smoothed, X, [0] * 4, radii=[0.5], steps=2, judge=20, progress=False)
    assert np.array_equal(found.counts.estimation, votes(smooth(network)))


@pytest.mark.slow
@pytest.mark.filterwarnings("error:.*falls back:RuntimeWarning")
def test_compiled_code_does_not_keep_the_weights_that_a_functions_network_had():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    compiled = smooth(lambda images: network(images), compiled=True)
    votes(compiled)
    with torch.no_grad():
        network[1].weight.add_(0.01 * torch.randn(3, 64, generator=torch.Generator().manual_seed(0)))
    assert votes(compiled) == votes(smooth(network))
    assert compiled._ready.form.description["compiled"]
