"""Checkpoints that others made enter a study, and what does not fit is one line."""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from foreign_study import MODULE, OWN, execute, plan_of, refused
from foreign_study import place as place  # fixture
from sklearn.datasets import load_digits

from rs.cli.main import main
from rs.errors import UserError
from rs.networks import imported as entries
from rs.networks import state_dicts
from rs.tables import aggregate as tables

pytestmark = pytest.mark.slow


def test_every_form_of_the_same_weights_gives_the_same_votes(place):
    named = {"none": "none", "dataset": "standardize"}
    forms = {
        "plain": OWN,
        "cohen": OWN | {"weights": "cohen.pth", "format": "cohen", "normalization": "none"},
        "parallel": OWN | {"weights": "parallel.pth", "format": "cohen", "normalization": "none"},
        "scaled": OWN | {"normalization": {"mean": [0.0], "std": [0.5]}},
        "named": OWN | {"normalization": named["dataset"]},
    }
    plan = plan_of(imported=forms)
    execute(plan, "data", "import", "sample", "certify")
    tables.aggregate(plan, plan.tables, "code")
    radius = {}
    for planned in plan.runs:
        assert planned.id.startswith("imported-digits-")
        radius[planned.run.label] = pd.read_parquet(planned.observations[0].certified)["radius"].tolist()
    assert radius["plain"] == radius["cohen"] == radius["parallel"]
    assert radius["scaled"] != radius["plain"]  # the normalisation counts
    runs = pd.read_parquet(plan.tables / "runs.parquet")
    assert runs["objective"].tolist() == ["imported"] * len(forms)
    assert set(pd.read_parquet(plan.tables / "certified_accuracy.parquet")["label"]) == set(forms)


def test_a_network_that_was_never_trained_is_not_certified_in_silence(place, capsys):
    def certify(checkpoint: str) -> tuple[str, str]:
        options = ["--entry", "their_module:network", "--data", "digits", "--sigma", "0.25"]
        assert main(["certify", "--checkpoint", checkpoint, *options, "--n", "100", "--images", "120"]) == 0
        out = capsys.readouterr().out
        study = next(line.split()[1] for line in out.splitlines() if line.startswith("study "))
        assert main(["show", "--study", study]) == 0
        return out, capsys.readouterr().out

    x, y = load_digits(return_X_y=True)
    means = torch.tensor(np.stack([x[y == c].mean(0) / 16 for c in range(10)])).float()
    torch.save({"1.weight": means, "1.bias": -means.square().sum(1) / 2}, "good.pt")
    slip = (
        "of 120 images are right, no more than by guessing one of 10 classes; check the order of the classes"
    )
    for output in certify("plain.pt"):
        assert output.count(slip) == 1
        assert "plain under gaussian" in output
    for output in certify("good.pt"):
        assert "by guessing" not in output


def test_cohens_format_needs_an_architecture_with_normalisation_first(place, monkeypatch):
    """A plug-in's may be any module."""
    monkeypatch.setattr(entries, "build", lambda imported, data: torch.nn.Flatten())
    form = {"weights": "cohen.pth", "format": "cohen", "normalization": "none"}
    plan = plan_of(imported={"theirs": {**OWN, **form}})
    execute(plan, "data")
    with pytest.raises(UserError, match=r"builds a Flatten, not nn\.Sequential\(normalisation, network\)"):
        execute(plan, "import")


def test_normalisation_is_the_first_layer(place):
    data = {"shape": [1, 8, 8], "classes": 10, "mean": [0.3], "std": [0.4]}
    x = torch.rand(2, 1, 8, 8)
    for given, mean, std in (
        ("standardize", 0.3, 0.4),
        ("center", 0.3, 1.0),
        ({"mean": [0.1], "std": [2.0]}, 0.1, 2.0),
    ):
        model = entries.build({"entry": "their_module:network", "normalization": given}, data)
        torch.testing.assert_close(model(x), entries.net_of(model)((x - mean) / std))


def test_an_architecture_of_ours_takes_weights_in_cohens_format(place):
    data = {"shape": [1, 8, 8], "classes": 10, "mean": [0.3], "std": [0.4]}
    ours = entries.build({"architecture": {"name": "digits_cnn"}, "normalization": "none"}, data)
    net = entries.net_of(ours)
    torch.save({"arch": "x", "state_dict": {f"1.{k}": v for k, v in net.state_dict().items()}}, "ours.pth")
    theirs = {"weights": "ours.pth", "format": "cohen", "normalization": "center"}
    plan = plan_of(imported={"theirs": theirs | {"architecture": {"name": "digits_cnn"}}})
    execute(plan, "data", "import", "sample", "certify")
    assert plan.runs[0].observations[0].certified.exists()


def test_identity_follows_the_file_the_code_and_the_normalisation(place):
    def of(**more) -> str:
        return plan_of(imported={"theirs": OWN | more}).runs[0].id

    first = of()
    assert of() == first
    assert of(normalization="center") != first
    Path("their_module.py").write_text(MODULE + "\nx = 1\n")
    edited = of()
    assert edited != first
    torch.save({k: v + 1 for k, v in place.items()}, "plain.pt")
    assert of() not in (first, edited)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": "no.pt"}, "imported.theirs.weights: no.pt: cannot be read: No such file"),
        ({"entry": "their_module:missing"}, "their_module has no missing"),
        ({"entry": "no_module:network"}, "no module no_module"),
        ({"entry": "their_module"}, "imported.theirs.entry"),
        ({"entry": "their_module:nothing"}, "returned a int, not an nn.Module"),
        ({"entry": "their_module:number"}, "calling it without arguments failed"),
        (
            {"entry": "their_module:wide"},
            "another architecture than their_module:wide: 1.bias is [10], not [11]",
        ),
        ({"normalization": "standardise"}, "imported.theirs.normalization"),
        ({"normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}}, "3 means and 3 stds for 1 channels"),
        ({"format": "cohen", "weights": "cohen.pth"}, "give normalization"),
        ({"format": "cohen", "normalization": "none"}, "plain.pt: weights of another architecture"),
        ({"architecture": {"name": "digits_cnn"}}, "give one of entry (module:function) and architecture"),
        ({"entry": None, "architecture": {"name": "lenet"}}, "lenet takes 1x28x28"),
        ({"entry": None, "architecture": {"name": "digits_cnn"}}, "another architecture than digits_cnn"),
        ({"noise": {"name": "laplace", "scale": 1}}, "cohen has no theorem for noise laplace"),
        ({"objective": {"name": "gaussian"}}, "unknown key"),
    ],
)
def test_what_does_not_fit_is_one_line(place, change, says):
    assert says in refused(imported={"theirs": OWN | change})


def test_pickled_code_is_never_run(place, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"state_dict": {"weight": Trap()}}, "plain.pt")
    assert "pickled code is never run" in refused(imported={"theirs": OWN})
    assert not (tmp_path / "touched").exists()
    Path("plain.pt").write_bytes(b"PK\x03\x04 cut off")
    assert "plain.pt: not a complete checkpoint" in refused(imported={"theirs": OWN})


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_weights_are_one_line(place, zipped):
    torch.save(place, "plain.pt", _use_new_zipfile_serialization=zipped)
    whole = Path("plain.pt").read_bytes()
    cut = [whole[: len(whole) * i // 40] for i in range(40)]
    for damaged in (*cut, b"junk", b"hello world\n", bytes(range(256)), b"\x80\x02" * 9):
        Path("plain.pt").write_bytes(damaged)
        with pytest.raises(UserError, match=r"^plain\.pt: (not a complete checkpoint|holds more.*cut off)"):
            state_dicts.read(Path("plain.pt"))


def test_certify_junk_is_one_line_and_leaves_no_model(place, capsys):
    Path("junk.pt").write_bytes(b"junk")
    command = ["certify", "--checkpoint", "junk.pt", "--entry", "their_module:network", "--data", "digits"]
    assert main([*command, "--set", "sigma=0.25", "--n0", "16", "--images", "2"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("rs: junk.pt: not a complete checkpoint")
    assert not list(Path("results").glob("runs/*/model*"))
    assert not list(Path("results").glob("certify-junk-*"))


def test_a_refused_network_leaves_the_study_of_the_tables_as_it_was(place, capsys):
    Path("drawing.py").write_text(
        "import torch\nfrom their_module import network\n"
        "def random():\n    return torch.nn.Sequential(network(), Chance())\n"
        "class Chance(torch.nn.Module):\n    def forward(self, x):\n        return x + torch.rand_like(x)\n"
    )
    torch.save({f"0.{key}": value for key, value in place.items()}, "drawing.pt")
    more = ["--data", "digits", "--set", "sigma=0.25", "--n0", "16", "--n", "32", "--images", "2"]

    def certify(weights, entry):
        return main(["certify", "--checkpoint", weights, "--entry", entry, *more])

    assert certify("plain.pt", "their_module:network") == 0
    (study,) = Path("results").glob("certify-plain-*/study.yaml")
    before = study.read_bytes()
    assert certify("plain.pt", "drawing:random") == 1
    assert study.read_bytes() == before
    capsys.readouterr()
    assert certify("drawing.pt", "drawing:random") == 1
    assert "it draws at random in evaluation mode" in capsys.readouterr().err
    assert not list(Path("results").glob("certify-drawing-*"))


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        ("return self.net(x.sub_(0.5))", "or changes its input in place; allowed are"),
        ("return self.net(x).argmax(1)", "returns one number per image, not 10 logits"),
        ("return self.net(x), x", "returns tuple per image, not 10 logits"),
    ],
)
def test_a_network_of_another_kind_is_told_why(place, forward, says):
    Path("wrapped.py").write_text(
        "import torch\nimport their_module\nclass Wrapped(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.net = their_module.network()\n"
        f"    def forward(self, x):\n        {forward}\ndef network():\n    return Wrapped()\n"
    )
    torch.save({f"net.{key}": value for key, value in place.items()}, "plain.pt")
    with contextlib.suppress(KeyError):
        del sys.modules["wrapped"]
    assert says in refused(imported={"theirs": OWN | {"entry": "wrapped:network"}})


def test_certify_a_checkpoint_without_a_study(place, capsys):
    command = ["certify", "--checkpoint", "plain.pt", "--entry", "their_module:network", "--data", "digits"]
    command += ["--set", "sigma=0.25", "--n0", "16", "--images", "2"]
    assert main([*command, "--n", "32"]) == 0
    printed = capsys.readouterr()
    assert "certified accuracy on 2 images, n = 32, alpha = 0.001" in printed.out
    assert "sample 1/2" in printed.err
    assert main([*command, "--n", "32"]) == 0
    assert "sample" not in capsys.readouterr().err  # the draws are there
    assert main([*command[:5], "--set", "sigma=1"]) == 1
    assert "needs --data" in capsys.readouterr().err


def test_checkpoints_of_one_file_name_keep_their_own_results(place, capsys):
    found = {}
    for folder, shift in (("x", 0.0), ("y", 1.0), ("x", 0.0)):
        Path(folder).mkdir(exist_ok=True)
        torch.save({k: v + shift * torch.rand_like(v) for k, v in place.items()}, f"{folder}/best.pt")
        command = ["certify", "--checkpoint", f"{folder}/best.pt", "--entry", "their_module:network"]
        command += ["--data", "digits", "--set", "sigma=0.25", "--n0", "16", "--n", "32", "--images", "2"]
        assert main(command) == 0
        (line,) = [t for t in capsys.readouterr().out.splitlines() if t.startswith("tables ")]
        tables_at = Path(line.split()[1])
        assert tables_at == found.setdefault(folder, tables_at)
    runs = [pd.read_parquet(path / "runs.parquet")["run"].item() for path in found.values()]
    assert len(set(found.values())) == len(set(runs)) == 2


def test_manifest_says_how_to_build_the_network(place):
    plan = plan_of(imported={"theirs": OWN})
    execute(plan, "data", "import")
    manifest = json.loads((plan.runs[0].folder / "model.json").read_text())
    assert manifest["provenance"]["spec"]["model"]["imported"]["entry"] == "their_module:network"
    with contextlib.suppress(KeyError):
        del sys.modules["their_module"]
    execute(plan, "sample")  # in another process it is imported anew
