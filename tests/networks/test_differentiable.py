"""The network that attacks differentiate is the network, and sums the gradients of its copies."""

from __future__ import annotations

import pytest
import torch
from tiny_images import load_split
from tiny_networks import audited
from torch import nn

from rs.methods import catalog
from rs.networks import checkpoints
from rs.networks.differentiable import Differentiable, require_gradients
from rs.smoothing.ascent import input_gradient
from rs.smoothing.smoothed import soft_loss

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


def test_the_differentiable_network_is_the_network(workspace):
    job = workspace.job("attack")
    data = workspace.path(job.inputs["data"])
    network, _ = checkpoints.load(workspace.path(job.inputs["model"]), data)
    x, _ = load_split(data, "test")
    mine, theirs = x[:9].clone().requires_grad_(), x[:9].clone().requires_grad_()
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.1)):
        seen = Differentiable(audited(network, (1, 8, 8), 10), {"precision": precision}, CPU)
        out, expected = seen(mine), network(theirs)
        torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)
        (a,) = torch.autograd.grad(out[:, 0].sum(), mine)
        (b,) = torch.autograd.grad(expected[:, 0].sum(), theirs)
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))
        assert not any(p.requires_grad for p in seen.parameters())
    require_gradients(seen, x[0], data, "pgd_l2")


@pytest.mark.parametrize("name", ["digits_cnn", "lenet", "nal_cnn", "resnet20"])
@pytest.mark.parametrize("copies", [1, 3])
def test_gradients_of_copies_are_summed_after_the_first_convolution(name, copies):
    method = catalog.find("models", name)()
    shape = method.shapes[0]
    torch.manual_seed(0)
    network = method.build(shape, 10, [0.4] * shape[0], [0.2] * shape[0]).eval()
    seen = Differentiable(audited(network, shape, 10), {"precision": "float32"}, CPU)
    assert seen.first is not None
    x, z = torch.rand(2, *shape), 0.1 * torch.randn(2, copies, *shape)
    y = torch.tensor([3, 8])
    gradients = [input_gradient(lambda at, m=m: soft_loss(m, at, z, y), x) for m in (seen, network)]
    # rounding may move a few activations over their kink: compared as vectors
    assert (gradients[0] - gradients[1]).norm() < 0.02 * gradients[1].norm()
    assert gradients[1].abs().max() > 0
    linear = audited(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), (1, 8, 8), 10)
    plain = Differentiable(linear, {"precision": "float32"}, CPU)
    assert plain.first is None
    torch.testing.assert_close(seen(x), network(x), rtol=1e-3, atol=1e-4)  # and as if nothing had been
