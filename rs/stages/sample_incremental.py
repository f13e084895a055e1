"""The sample stage of a run that starts from another run's answers: a second network on the same draws.

The first network does not run: it answered these draws before (rs.stages.sample_answered). The second
network's class comes from its selection votes. Then every undecided image gets one batch after another of the
draws that the first network saw. Votes of both networks for a class are counted, and votes of only one; the
rule (rs.statistics.paired_stopping) looks at the differences. An image's votes depend on no other image.

Validity does not need identical noise to the last bit. Answers to different draws are pairs of independent
answers, and the bound covers their differences too (rs.statistics.differences); there would only be more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rs.errors import UserError
from rs.machine.devices import device_class
from rs.methods.certificates.incremental import first_failure
from rs.plan.draw_paths import read_by_sample
from rs.provenance.digests import canonical
from rs.provenance.files import ADVICE
from rs.provenance.run_files import read_model_manifest
from rs.settings.sampling import Stop
from rs.stages import answers
from rs.stages.draw_files import Merged, read_votes
from rs.stages.voter import JobVoter
from rs.statistics.draws import Votes
from rs.statistics.paired_stopping import PairedRule


def sample(
    spec: dict[str, Any], inputs: dict[str, Path], output: Path, device: torch.device, code: str
) -> None:
    """Draws the votes that `spec` asks for (see rs.plan.drawing) and writes them. Their provenance names the
    rule and the source of the answers.

    `inputs` has a JobVoter's inputs, the file of the `selection` votes, the folder of the `source`'s draws
    and the manifest of its network (`source_model`).
    """
    voter = JobVoter(spec, inputs, device)
    answers.refuse_chance(voter)
    top = voter.selected(inputs["selection"])
    first = First.read(voter, inputs)
    share = spec["source"]["share"]
    rule = PairedRule(Stop(**spec["stop"]), spec["noise"]["sigma"], spec["n"], spec["block"], share)
    bound = first_failure(first.votes, "fixed", top, share * rule.stop.alpha)
    counted = Counted(voter, first)
    with voter.within_memory():
        decided = counted.until_decided(rule, top, bound)
        votes = counted.totals[:, 0]
        for _ in voter.follow(decided, f"beside {spec['source']['run']}", samples=lambda: int(votes.sum())):
            pass
    voter.form.check()
    own, beside, both = counted.totals.cpu().numpy().transpose(1, 0, 2)
    columns = {"first": first.votes.counts, "beside": beside, "both": both}
    stopping = {"stop": asdict(rule.stop), "source": {**spec["source"], **first.facts}}
    answers.write(output, voter, own, columns, code, **stopping)


@dataclass(frozen=True)
class First:
    """The source: all its votes, its answers [N, draws] to the first of them, and the facts that its files
    state.
    """

    votes: Votes
    answers: np.ndarray
    facts: dict[str, Any]

    @staticmethod
    def read(voter: JobVoter, inputs: dict[str, Any]) -> First:
        """Reads the source's files. Raises UserError where they are of other images, noise, seed, batches,
        devices or classes, or of another network than the source has now.
        """
        merged, counts, stored_answers = Merged(), [], []
        source = voter.spec["source"]
        stored = source["answers"] // source["block"]
        for index, path in enumerate(read_by_sample(voter.spec, inputs)):
            images, labels, votes, provenance = read_votes(path)
            merged.take(path, provenance, selects=False)
            same = np.array_equal(images, np.asarray(voter.images))
            if not same or not np.array_equal(labels, voter.labels.cpu().numpy()):
                raise UserError(f"{path}: other images or labels than those of this run; {ADVICE}")
            if provenance["classes"] != voter.classes:
                raise UserError(f"{path}: votes for {provenance['classes']} classes, not {voter.classes}")
            counts.append(votes.counts)
            if index < stored:
                stored_answers.append(answers.read_answers(path, votes))
        classifier, folder = merged.classifier, inputs["source"]
        expected = {"model": read_model_manifest(inputs["source_model"])["sha256"]}
        expected |= {"noise": canonical(voter.spec["noise"]), "seed": voter.seed}
        expected |= {"device_class": device_class(voter.device)}
        here = {"batch": voter.form.batch, "device": voter.form.description["device"]}
        there = {key: classifier["form"].get(key) for key in here}
        drawn = classifier | there
        for key, value in (expected | here).items():
            if drawn[key] != value:
                raise UserError(f"{folder}: source: draws of the {key} {drawn[key]}, not {value}; {ADVICE}")
        facts = {"model": classifier["model"], "form": classifier["form"]}
        return First(Votes(np.sum(counts, 0)), np.concatenate(stored_answers, 1), facts)


class Counted:
    """`totals` int64 [N, 3, classes] on the device: answers of the second network, of the first network to
    the same draws, and of both together.
    """

    def __init__(self, voter: JobVoter, first: First) -> None:
        self.voter = voter
        device, shape = voter.device, (len(voter.images), 3, voter.classes)
        self.totals = torch.zeros(shape, dtype=torch.int64, device=device)
        self._first = torch.from_numpy(first.answers.astype(np.int32)).to(device)
        source = voter.spec["source"]
        self._block, self._blocks = source["block"], source["answers"] // source["block"]
        self._sizes = answers.sizes(self._block, voter.form.batch) * self._blocks

    def until_decided(self, rule: PairedRule, top: np.ndarray, bound: np.ndarray) -> Iterator[int]:
        """Counts until `rule` has enough votes of each image; yields rows as they are decided. `top` [N] is
        the class that the rule is about, `bound` [N] the bound from the first network's votes.
        """
        drawn = [self._draws(row) for row in range(len(top))]
        undecided = np.arange(len(top))
        for more, so_far in self._looks(rule):
            for row in undecided:
                for _ in range(more):
                    next(drawn[row])
            seen = self.totals.cpu().numpy()[undecided, :, top[undecided]]  # [M, 3]
            losses, gains = seen[:, 1] - seen[:, 2], seen[:, 0] - seen[:, 2]
            going_on = rule.going_on(bound[undecided], losses, gains, so_far)
            yield from undecided[~going_on].tolist()
            undecided = undecided[going_on]
            if len(undecided) == 0:
                return

    def _looks(self, rule: PairedRule) -> Iterator[tuple[int, int]]:
        """Before each look: the number of batches to add, and the number of draws after them."""
        goal = drawn = 0
        left = iter(self._sizes)
        for size in rule.sizes():
            goal, more = goal + size, 0
            while drawn < goal:
                drawn, more = drawn + next(left), more + 1
            if more:
                yield more, drawn

    def _draws(self, row: int) -> Iterator[None]:
        """Counts the batches of the row-th image, one per step."""
        start, form = 0, self.voter.form
        for block in range(self._blocks):
            for noisy in self.voter.noisy(row, "estimate", block, self._block):
                second = answers.answers(form, noisy)
                first = self._first[row, start : start + len(noisy)].long()
                answers.count(self.totals[row], second, first)
                start += len(noisy)
                yield
