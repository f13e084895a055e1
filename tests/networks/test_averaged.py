"""The mean of networks and the rule that stops early, against a plain oracle in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ensemble_networks import CLASSES, L, images, members
from scipy.special import log_softmax, logsumexp
from torch import nn

from rs.networks import audit
from rs.networks.averaged import Averaged
from rs.networks.transformations import folding


def oracle(logits: np.ndarray, first: int, average: str) -> tuple[np.ndarray, np.ndarray]:
    """Answers [B, classes] and members asked [B], one image after the other, of logits [L, B, classes]."""
    answers, passes = [], []
    for each in logits.swapaxes(0, 1):
        agree = len({row.argmax() for row in each[:first]}) == 1
        taken = each[:first] if agree else each
        if average == "softmax":
            scores = logsumexp(log_softmax(taken, 1), 0) - np.log(len(taken))
        else:
            scores = sum(taken) / len(taken)
        answers.append(scores)
        passes.append(len(taken))
    return np.array(answers), np.array(passes)


@pytest.mark.parametrize("average", ["logits", "softmax"])
@pytest.mark.parametrize("first", range(1, L + 1))
def test_answers_are_the_oracle_s_one_image_after_the_other(first, average):
    nets, x = members(), images()
    network = Averaged(nets, first, average).double().eval()
    each = np.array([net(x).detach().numpy() for net in nets])
    answers, passes = oracle(each, first, average)
    np.testing.assert_allclose(network(x).detach().numpy(), answers, rtol=0, atol=1e-12)
    if 1 < first < L:
        assert {*passes} == {first, L}, "both ways are taken"


def test_of_the_first_one_of_all_and_of_another_order():
    nets, x = members(), images()
    alone, whole = Averaged(nets, 1).double().eval(), Averaged(nets).double().eval()
    torch.testing.assert_close(alone(x), nets[0](x), rtol=0, atol=0)
    torch.testing.assert_close(Averaged(nets, L)(x), whole(x), rtol=0, atol=0)
    early, turned = Averaged(nets, 2), Averaged(nets[::-1], 2)
    assert not torch.allclose(early(x), turned(x))
    torch.testing.assert_close(Averaged(nets[::-1])(x), whole(x))  # which only consensus depends on


def test_where_the_first_agree_their_mean_has_their_class():
    nets, x = members(), images(512)
    votes = torch.stack([net(x).argmax(1) for net in map(nn.Module.double, nets[:2])])
    agree = votes[0] == votes[1]
    for average in ("logits", "softmax"):
        assert torch.equal(Averaged(nets, 2, average).double()(x).argmax(1)[agree], votes[0][agree])
    assert 0 < agree.sum() < len(x)


def test_gradients_are_those_of_the_answer_that_is_given():
    nets, x = members(), images(32)
    network = Averaged(nets, 2).double().eval()

    def gradient(model, at):
        leaf = at.clone().requires_grad_()
        return torch.autograd.grad((model(leaf) * torch.arange(CLASSES)).sum(), leaf)[0]

    agree = nets[0](x).argmax(1) == nets[1](x).argmax(1)
    found = gradient(network, x)
    for rows, taken in ((agree, nets[:2]), (~agree, nets)):
        torch.testing.assert_close(found[rows], gradient(Averaged(taken), x)[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("first", [2, L])
def test_it_passes_the_audit_and_its_norms_are_folded(first):
    network = Averaged(members(norm=True), first).eval()
    found = audit.audit(network, images(32).float(), "ensemble")
    assert found == {"chance": False, "judged_in": "float64"}
    exact, x = network.double(), images(8)
    folded, why = folding(exact)
    assert folded is not None, why
    torch.testing.assert_close(folded(x), exact(x), rtol=0, atol=1e-12)
