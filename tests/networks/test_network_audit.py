"""A network that is no deterministic function of one image is refused in one line that says why."""

from __future__ import annotations

import random
from pathlib import Path

import foreign_networks as foreign
import numpy as np
import pytest
import torch
from foreign_networks import SHAPE, made
from imported_network import place as place
from tiny_networks import probes
from tiny_study import execute

from rs.cli.main import main
from rs.errors import UserError
from rs.networks import audit as network_audit
from rs.networks import checkpoints
from rs.networks.audit import audit
from rs.networks.images import load_images
from rs.provenance.files import read_json, read_table
from rs.stages import execution
from rs.stages.draw_files import read_votes
from rs.stages.voter import JobVoter

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
REFUSED = {
    foreign.batch_statistics: "depends on the other images of the batch",
    foreign.AlwaysTraining: "the network stays in training mode after eval",
    foreign.ActiveDropout: r"changes between calls \(it draws at random.*allow: \[chance\]",
    foreign.SharedDraw: "changes between calls",
    foreign.ChangesByItself: "not by seeded chance: it keeps state",
    foreign.RemembersImages: "depends on the images before: it keeps state",
    foreign.ByPlace: "depends on an image's place in the batch",
    foreign.ByBatchSize: "to an image alone is not its answer to it in a batch",
    foreign.Squeezes: r"its output for 1 image alone is \[10\]",
    foreign.ByGradient: "changes where gradients are taken",
    foreign.CannotBeCopied: "cannot be copied",
}
ACCEPTED = {
    foreign.Convolutional: "float64",
    foreign.Shared: "float64",
    foreign.scripted: "float64",
    foreign.parametrised: "float64",
    foreign.old_weight_norm: "float64",
    foreign.hooked_itself: "float64",
    foreign.tied: "float64",
    foreign.NotANumber: "float64",
    foreign.IntegerWeights: "float64",
    foreign.ChangesItsInput: "float64",
    foreign.Float32Inside: "float32",
    foreign.Float32Only: "float32",
}


def refusal(build, *allow):
    with pytest.raises(UserError) as caught:
        audit(made(build), probes(SHAPE), "theirs", allow)
    message = str(caught.value)
    assert message.startswith("theirs: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("build", REFUSED, ids=lambda build: build.__name__)
def test_what_certification_does_not_assume_is_refused(build, request):
    from re import search

    assert search(REFUSED[build], refusal(build))


@pytest.mark.parametrize("build", ACCEPTED, ids=lambda build: build.__name__)
def test_one_deterministic_function_passes(build):
    network = made(build)
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert audit(network, probes(SHAPE), "theirs") == {"chance": False, "judged_in": ACCEPTED[build]}
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert random.getstate() == state[2]


@pytest.mark.parametrize("period", range(2, 10))
def test_a_counter_of_calls_is_told_as_state_wherever_it_is_noticed(period):
    """A period of 6 is noticed when images change places, one of 7 when an image is alone."""

    class EveryFew(foreign.Base):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x) + float(self.calls % period == 0)

    assert "changes between calls, and not by seeded chance: it keeps state" in refusal(EveryFew)


class ThroughNumpy(foreign.Base):
    def forward(self, x):
        return super().forward(x + torch.as_tensor(np.random.normal(size=x.shape), dtype=x.dtype))


def test_chance_is_let_in_where_images_draw_for_themselves():
    for build in (foreign.ActiveDropout, ThroughNumpy):
        assert audit(made(build), probes(SHAPE), "theirs", ["chance"])["chance"] is True
    assert "shared by the images of a batch" in refusal(foreign.SharedDraw, "chance")
    assert "mean answer depends on the other images" in refusal(foreign.DropoutAndBatchStatistics, "chance")
    assert "keeps state" in refusal(foreign.ChangesByItself, "chance")
    assert audit(made(foreign.Base), probes(SHAPE), "theirs", ["chance"])["chance"] is False


def test_small_differences_count_in_float64_and_rounding_does_not():
    class Slightly(foreign.Base):
        """Adds a millionth of the batch's mean: less than the rounding of bfloat16."""

        def forward(self, x):
            return super().forward(x) + 1e-6 * x.mean()

    assert "other images of the batch" in refusal(Slightly)
    narrow = made(foreign.Float32Inside)
    x = probes(SHAPE)
    alone = torch.cat([narrow(x[i : i + 1]) for i in range(len(x))])
    assert not torch.equal(alone, narrow(x))  # which is what it is allowed


def test_no_vote_of_the_network_is_drawn_before_the_audit(workspace, tmp_path, monkeypatch):
    """Whatever stage sees it first: draws, attacks, forms, calibrations."""
    manifest = workspace.path(workspace.job("train").outputs["manifest"])
    found = checkpoints.load(manifest, workspace.path(workspace.plan.data_manifest))[1]
    monkeypatch.setattr(checkpoints, "load", lambda *_: (made(foreign.ByPlace), found))
    for stage in ("sample", "attack", "calibrate"):
        job = workspace.job(stage, "nal" if stage == "calibrate" else "gaussian")
        output = dict.fromkeys(job.outputs, tmp_path / stage)
        with pytest.raises(UserError, match=rf"^{job.run}: its answer depends on an image's place"):
            workspace.run(job, outputs=output)
        assert not (tmp_path / stage).exists()


def test_probes_are_the_same_for_every_job(workspace):
    data = workspace.path(workspace.plan.data_manifest)
    one, other = (network_audit.probes(data, CPU) for _ in range(2))
    assert one.shape == (128, *SHAPE)
    assert torch.equal(one, other)
    assert len(one.flatten(1).unique(dim=0)) == 128
    x, _ = load_images(data, "test", [i * 360 // 32 for i in range(32)])
    noise = one.unflatten(0, (4, 32)) - x
    levels = noise.unflatten(1, (8, 4)).transpose(1, 2)  # [round, place in its four, image, ...]
    found = levels.flatten(2).std(2)
    expected = torch.tensor(network_audit.LEVELS)
    for i in range(4):
        torch.testing.assert_close(found[i], expected.roll(i), rtol=0.1, atol=0)


def test_of_few_images_each_is_repeated_under_every_level():
    x = torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 1, 20, 20) * 100
    found = network_audit.probes_of(x)
    own = (found > 50).flatten(1).all(1)
    assert (len(found), int(own.sum())) == (128, 64)
    for mine in (found[own] - 100, found[~own]):
        levels = mine.flatten(1).std(1).sort().values.reshape(4, 16)
        torch.testing.assert_close(levels.mean(1), torch.tensor(network_audit.LEVELS), rtol=0.05, atol=0)
    assert len(network_audit.probes_of(x, 4)) == 16


# --- as a user meets it ---


def test_import_refuses_and_leaves_no_model(place):
    plan = place(foreign.batch_statistics)
    with pytest.raises(UserError, match=rf"^{plan.runs[0].id} \(foreign_networks:batch_st.*\): its ans"):
        execute(plan, "data", "import")
    assert not (plan.runs[0].folder / "model.json").exists()


def test_a_network_that_needs_contiguous_memory_is_certified_and_attacked(place):
    plan = place(foreign.ViewAfterConvolution)
    with pytest.warns(RuntimeWarning, match="contiguous memory"):
        execute(plan, "data", "import", "sample", "certify", "attack")
    for job in (*plan.jobs["sample"].values(), *plan.jobs["attack"].values()):
        made_by = read_table(next(iter(job.outputs.values())))[1]
        assert made_by["form"]["layout"] == "contiguous_format"
        assert "view size" in str(made_by["compared"])
    assert read_json(plan.runs[0].folder / "model.json")["audit"] == {"chance": False, "judged_in": "float64"}


def test_allowed_chance_is_recorded_and_seeded_by_image_and_block(place):
    refused = place(foreign.ActiveDropout)
    with pytest.raises(UserError, match="draws at random"):
        execute(refused, "data", "import")
    plan = place(foreign.ActiveDropout, allow=["chance"])
    assert plan.runs[0].id != refused.runs[0].id
    execute(plan, "import", "sample", "certify")
    assert read_json(plan.runs[0].folder / "model.json")["audit"]["chance"] is True
    drawn = {}
    for path, job in plan.jobs["sample"].items():
        images, _, votes, provenance = read_votes(Path(path))
        assert provenance["form"]["chance"] is True
        for row, image in enumerate(images):
            drawn[job.spec["purpose"], job.spec["block"], int(image)] = votes.counts[row]
    assert not np.array_equal(drawn["estimate", 0, 0], drawn["estimate", 1, 0])
    job = next(j for j in plan.jobs["sample"].values() if j.spec["purpose"] == "estimate")
    alone = execution.as_dict(job)
    alone["spec"] |= {"images": [1, 2, 1]}
    alone["outputs"] = {"draws": "alone.parquet"}
    execution.execute("sample", alone)
    again = read_votes(Path("alone.parquet"))[2].counts[0]
    assert np.array_equal(again, drawn["estimate", job.spec["block"], 1])


def test_votes_that_are_not_a_number_name_run_image_and_share(place, tmp_path):
    plan = place(foreign.NotANumber)
    execute(plan, "data", "import")
    job = next(j for j in plan.jobs["sample"].values() if j.spec["purpose"] == "estimate")
    says = rf"^{plan.runs[0].id}: image \d+: \d+ of 32 votes \(\d+\.\d\d%\)"
    with pytest.raises(UserError, match=rf"{says} and votes in [12] of 2 images: logits are not finite"):
        execution.execute("sample", execution.as_dict(job))
    assert not next(iter(job.outputs.values())).exists()
    described = execution.as_dict(next(iter(plan.jobs["attack"].values())))
    # its judge has 1,000 votes and stops at the first look at them
    with pytest.raises(UserError, match=says.replace("32", "64") + ": logits"):
        execution.execute("attack", described)


def test_votes_that_are_not_a_number_are_counted_for_their_own_image(place):
    plan = place(foreign.NotANumber)
    execute(plan, "data", "import")
    job = next(j for j in plan.jobs["sample"].values() if j.spec["purpose"] == "estimate")
    voter = JobVoter(job.spec, {k: Path(job.inputs[k]) for k in ("model", "data")}, torch.device("cpu"))
    drawn, wrong = ("estimate", job.spec["block"], 32), []
    for row in range(2):
        voter.vote(row, *drawn)
        logits = torch.cat([voter.form(rows) for rows in voter.noisy(row, *drawn)])
        wrong.append(int((~logits.isfinite().all(1)).sum()))
    assert voter._seen.tolist() == [[32, 32], wrong]
    assert wrong[0] > 0


def test_certify_takes_the_flag(place, capsys):
    plan = place(foreign.ActiveDropout)
    command = ["certify", "--checkpoint", "theirs.pt", "--entry", "foreign_networks:ActiveDropout"]
    command += ["--data", "digits", "--set", "sigma=0.25", "--n", "32", "--n0", "16", "--images", "2"]
    assert main(command) == 1
    errors = capsys.readouterr().err
    assert "its answer changes between calls" in errors
    assert "--allow chance" in errors
    assert main([*command, "--allow", "chance"]) == 0
    assert plan.runs[0].id not in capsys.readouterr().out
