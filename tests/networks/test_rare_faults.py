"""A network that errs on few images, or at few places of a batch: the audit's four images seldom show it, all
probes of a form do.
"""

from __future__ import annotations

import pytest
import torch
from ensemble_networks import CLASSES, SHAPE, members
from torch import nn

from rs.errors import UserError
from rs.networks.audit import Audited, audit
from rs.networks.averaged import Averaged
from rs.networks.inference import InferenceForm, form_of

CPU = torch.device("cpu")
FORM = {"precision": "float32", "batch": 128, "compiled": False}
PROBES = torch.rand(128, *SHAPE, generator=torch.Generator().manual_seed(5))


class Rare(nn.Module):
    """Errs on two of the 128 probes, which it knows by a pixel."""

    def __init__(self, fault) -> None:
        super().__init__()
        self.net, self.fault, self.calls = members(norm=True)[0], fault, []
        self.known = PROBES[[40, 97], 0, 0, 0].double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        logits = self.net(x)
        rare = torch.isin(x[:, 0, 0, 0].double(), self.known)[:, None]
        return logits.where(~self.at(x) if self.fault is by_place else ~rare, self.fault(self, x, logits))

    @staticmethod
    def at(x: torch.Tensor) -> torch.Tensor:
        return (torch.arange(len(x)) == 16)[:, None]


def by_place(net, x, logits):
    return logits.roll(1, 1)


def by_neighbours(net, x, logits):
    return logits + x.mean() * torch.arange(CLASSES)


def by_calls(net, x, logits):
    return logits + len(net.calls) * torch.arange(CLASSES)


def in_float32(net, x, logits):
    """As where a number is rounded to one of a few levels: in float32 it may come to the next one."""
    return logits + (0.01 * x.mean() if x.dtype == torch.float32 else 0) * torch.arange(CLASSES)


def audited(network: nn.Module) -> Audited:
    network.eval().requires_grad_(False)
    assert not audit(network, PROBES, "theirs")["chance"]
    return Audited(network, {"classes": CLASSES}, PROBES, "theirs", False)


@pytest.mark.parametrize("fault", [by_place, by_neighbours, by_calls])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fault_on_few_images_is_refused_in_one_line(fault, precision):
    message = (
        r"^theirs: its answer depends on the batch that an image is in, or changes between calls; [^\n]*$"
    )
    with pytest.raises(UserError, match=message):
        InferenceForm(audited(Rare(fault)), {**FORM, "precision": precision}, CPU)


def test_so_is_that_of_an_ensembles_member():
    network = Averaged([*members(norm=True)[:2], Rare(by_neighbours)], 2)
    with pytest.raises(UserError, match=r"^theirs, member 2: its answer depends on the batch"):
        form_of(Audited(network.eval(), {"classes": CLASSES}, PROBES, "theirs", False), FORM, CPU)


def test_a_batch_is_filled_with_zeros_and_not_with_what_was_in_it_before():
    form, seen = InferenceForm(audited(members(norm=True)[0]), FORM, CPU), []
    network = form.network
    form.network = lambda batch: seen.append(batch.clone()) or network(batch)
    form(PROBES)
    form(PROBES[:3])
    assert [len(batch) for batch in seen] == [128, 128]
    assert torch.equal(seen[1][:3], PROBES[:3])
    assert seen[0][3:].any()
    assert not seen[1][3:].any()


def test_what_only_float32_shows_is_rounding():
    network = Rare(in_float32)
    form = InferenceForm(audited(network), FORM, CPU)
    assert form.compared["differing_votes"] <= 0.01
