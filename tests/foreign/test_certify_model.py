"""`rs certify --model` from the command line: what it certifies, keeps, goes on with and refuses to mix."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import rs
from rs.cli.main import main
from rs.provenance.files import read_table, write_table

DIGITS = ("--model", "entry:mynet:net", "--channels", "1", "--sigma", "0.25", "--out", "out")
PHOTOS = (*DIGITS, "--data", "photos", "--n", "700")


def table(out: str = "out"):
    return read_table(Path(out) / "images.parquet")[0].to_pandas()


def files() -> list[Path]:
    return sorted(Path("out/votes").glob("*.parquet"))


def test_predictions_of_a_folder_without_labels(certify):
    code, out, err = certify(*PHOTOS)
    assert code == 0
    found = table()
    assert found["file"].tolist() == [f"{i:02}.png" for i in range(12)]
    assert (found["label"] == -1).all()
    assert (found["prediction"] == [0, 1, 2, 3, 4, 9, 6, 7, 8, 9, 0, 1]).mean() > 0.8
    assert "predictions, right or wrong" in out
    assert "12 in photos, without labels, certified as 1x8x8" in err
    assert "in the network    nothing: it takes [0, 1]" in err
    assert "predicted  " in err


def test_claims_are_those_of_the_python_face(certify):
    """512 votes are one block in both, so the engine is seen to be the same one, vote by vote."""
    assert certify(*PHOTOS[:-1], "512")[0] == 0
    import mynet

    pixels = [np.asarray(Image.open(f)) for f in sorted(Path("photos").iterdir())]
    images = torch.from_numpy(np.stack(pixels)[:, None]).float() / 255
    there = rs.smooth(mynet.net(), sigma=0.25).certify(images, n=512, progress=False)
    here = table()
    assert here["radius"].tolist() == there.radius.tolist()
    assert here["lower"].tolist() == there.lower.tolist()


def test_two_images_have_an_interval_of_radii_that_can_be(certify):
    _, out, _ = certify(*PHOTOS[:-1], "200", "--images", "2")
    low, high, cap = map(float, re.search(r"\[(\S+), (\S+)\] \(l2\), at most ([0-9.]+)", out).groups())
    assert 0 <= low < high <= cap + 0.001


def test_its_radii_are_audited_by_what_they_say_of_themselves(certify, capsys):
    certify(*PHOTOS)
    assert main(["audit", "out/images.parquet"]) == 0
    assert "not checked: radii" not in capsys.readouterr().out
    found, made = read_table(Path("out/images.parquet"))
    frame = found.to_pandas().assign(radius=9.0)
    write_table(Path("out/images.parquet"), pa.Table.from_pandas(frame, preserve_index=False), made)
    assert main(["audit", "out/images.parquet"]) == 2
    assert "radius-above-cap" in capsys.readouterr().out


def test_class_folders_give_certified_accuracy(certify):
    code, out, _ = certify(*DIGITS, "--data", "sorted", "--n", "500", "--images", "15")
    assert code == 0
    found = table()
    assert len(found) == 15
    assert [f.partition("/")[0] for f in found["file"]] == found["label"].astype(str).tolist()
    certified = (found["prediction"] == found["label"]).mean()
    row = next(line for line in out.splitlines() if line.startswith("certified accuracy"))
    assert float(row.split()[2]) == pytest.approx(certified, abs=1e-3)


def test_classes_in_another_order_are_told(certify):
    x, y = load_digits(return_X_y=True)
    for i in range(42, 160):
        pixels = (x[i].reshape(8, 8) / 16 * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(Path("sorted", str(y[i]), f"{i:03}.png"))
    for entry, says in (("other_order", True), ("net", False)):
        options = ("--model", f"entry:mynet:{entry}", *DIGITS[2:-1], entry, "--data", "sorted")
        code, out, err = certify(*options, "--n", "50")
        assert code == 0, err
        assert ("no more than by guessing one of 10 classes; check the order of the classes" in out) == says


def test_the_page_holds_all_of_it(certify):
    code, out, _ = certify(*DIGITS, "--data", "sorted", "--n", "500", "--images", "9")
    assert code == 0
    assert "page     out/report.html" in out
    page = Path("out/report.html").read_text()
    assert page.count("data:image/png;base64,") == 9
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "sigma = 0.25 in [0, 1], 0.25 in the model&#39;s units" in page
    found = table()
    wrong = ((found["prediction"] != found["label"]) & (found["prediction"] >= 0)).sum()
    assert page.count('<span class="mark">wrong</span>') == wrong
    floors = [f"{np.floor(r * 1000 + 1e-9) / 1000:.3f}" for r in found["radius"] if r > 0]
    assert all(f">{floor}</td>" in page for floor in floors)
    line = re.search(r'<polyline points="([^"]+)"', page)[1].split()
    assert line[0].startswith("46,")
    assert line[-1].endswith(",240")  # nothing is certified beyond the largest radius


def test_more_votes_draw_only_what_is_missing(certify):
    certify(*PHOTOS)
    before = {f: f.read_bytes() for f in files()}
    code, out, err = certify(*PHOTOS)
    assert (code, files()) == (0, list(before))
    assert "0/24" not in err
    code, out, err = certify(*PHOTOS[:-1], "1536")
    assert code == 0
    assert "n = 700 before" in out
    new = [f for f in files() if f not in before]
    drawn = read_table(new[0])[0].to_pandas()
    # the first block of 512 is there; the second was a short one, and is drawn whole
    assert sorted(set(zip(drawn["purpose"], drawn["block"], drawn["votes"], strict=True))) == [
        ("estimate", 1, 512),
        ("estimate", 2, 512),
    ]
    again = table()
    shutil.rmtree("out")
    certify(*PHOTOS[:-1], "1536")
    assert again.equals(table())


def ctrl_c() -> None:
    raise KeyboardInterrupt


def cluster_s_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("ends", [ctrl_c, cluster_s_end])
def test_an_interrupted_call_goes_on(certify, monkeypatch, ends):
    from rs.api.voting import VoterAtHand

    noisy, calls = VoterAtHand.noisy, []

    def interrupted(self, row, purpose, block, votes):
        calls.append(purpose)
        if calls.count("estimate") == 7:
            ends()
        return noisy(self, row, purpose, block, votes)

    monkeypatch.setattr(VoterAtHand, "noisy", interrupted)
    code, out, err = certify(*PHOTOS)
    assert (code, out) == (130, "")
    kept = sum(len(read_table(f)[0]) for f in files())
    assert kept == 7  # of nine those whose last votes were not waiting for a full batch
    monkeypatch.setattr(VoterAtHand, "noisy", noisy)
    code, out, err = certify(*PHOTOS)
    assert code == 0
    assert "goes on" in err
    resumed = table()
    shutil.rmtree("out")
    certify(*PHOTOS)
    assert resumed.equals(table())


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (("--sigma", "0.5"), "votes of another noise"),
        (("--seed", "1"), "votes of another seed"),
        (("--mean", "0.1"), "votes of another preprocessing ({'mean': [0]} there, {'mean': [0.1]"),
        (("--batch", "64"), "votes of another inference form"),
    ],
)
def test_votes_of_another_classifier_are_not_mixed_in(certify, refused, changed, line):
    certify(*PHOTOS)
    before = table(), files()
    message = refused(*PHOTOS, *changed)
    assert line in message
    assert "choose another --out, or remove that folder" in message
    assert table().equals(before[0])
    assert files() == before[1]


@pytest.mark.parametrize(
    ("certificate", "line"),
    [
        ("group_sequential", "needs votes that its rule stopped, as a study draws them by"),
        ("incremental", "needs votes of two networks on the same draws"),
        ("soft_bernstein", "needs softmax moments, which votes do not hold"),
    ],
)
def test_certificates_of_other_draws_are_refused(refused, certificate, line):
    assert f"certify: certificate {certificate} {line}" in refused(*PHOTOS, "--certificate", certificate)
    assert not Path("out").exists()


def test_a_changed_network_or_image_is_refused(certify, refused):
    certify(*PHOTOS)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photos/03.png")
    assert "photos: 03.png is not the image that the votes in out are of" in refused(*PHOTOS)
    Path("mynet.py").write_text(Path("mynet.py").read_text() + "\n# edited\n")
    assert "votes of another module" in refused(*PHOTOS)


def test_a_folder_of_its_own_for_other_settings(certify):
    own = PHOTOS[:6] + PHOTOS[8:]
    for sigma in ("0.25", "0.5"):
        assert certify(*own, "--sigma", sigma, "--n", "100")[0] == 0
    assert len(list(Path("results").iterdir())) == 2


def test_the_folder_of_its_own_is_of_the_model_and_data_alone(certify):
    own = (*PHOTOS[:6], "--n", "100")
    place = str(Path("photos").resolve())
    for more in (
        ("--data", "photos"),
        ("--data", place, "--download"),
        ("--data", "photos/", "--device", "cpu"),
    ):
        assert certify(*own, *more)[0] == 0
    assert len(list(Path("results").iterdir())) == 1


@pytest.mark.parametrize("out", ["photos", "photos/new/out", "other", "mynet.py"])
def test_folders_of_other_things_are_left_alone(refused, out):
    Path("other").mkdir()
    Path("other/thesis.txt").touch()
    before = sorted(Path().rglob("*"))
    message = refused(*PHOTOS, "--out", out)
    assert message.startswith(f"rs: certify: --out {out}: ")
    assert sorted(f for f in Path().rglob("*") if "__pycache__" not in str(f)) == before


def test_what_was_forgotten(refused):
    message = refused("--data", "photos", "--sigma", "0.25")
    assert message == "rs: certify: give --model SOURCE:NAME or --checkpoint FILE"
    message = refused("--model", "entry:mynet:net", "--data", "photos")
    assert message.startswith("rs: certify: give --sigma S")


def test_a_budget_chooses_and_is_remembered(certify, monkeypatch):
    code, _, err = certify(*DIGITS, "--data", "photos", "--budget", "1s")
    assert code == 0
    n = int(table()["n"].iloc[0])
    assert n in (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
    assert "largest radius" in err
    monkeypatch.setattr("rs.foreign.cost.choose", lambda *_: pytest.fail("chosen again"))
    assert certify(*DIGITS, "--data", "photos", "--budget", "1s")[0] == 0
    assert set(table()["n"]) == {n}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--checkpoint", "a.pt"), "--checkpoint does not go with --model"),
        (("--study", "s.yaml"), "--study does not go with --model"),
        (("--skip", "2"), "--skip does not go with --model"),
        (("--n", "5"), "--n 5: votes certify nothing at alpha = 0.001; at least 10 for cohen"),
        (("--budget", "1min", "--images", "3"), "--budget chooses n and images"),
        (("--budget", "soon"), "--budget soon: must be a time, as 90s, 10min or 2h"),
        (("--budget", f"{10**6}s"), "must be a time, as 90s, 10min or 2h; at most 999999h"),
        (("--n", f"{10**10}"), f"--n {10**10}: must be a whole number from 1 to {10**9}"),
        (("--seed", f"{10**17}"), f"must be a whole number from 0 to {2**53}"),
        (("--std", "1e-320"), "std a number from 1e-06 to 1000000"),
        (("--size", "big"), "--size big: must be HxW or one number"),
        (("--range=1,-1",), "--range 1,-1: must be LOW,HIGH"),
        (("--mean", "a"), "--mean a: must be numbers with commas"),
        (("--mean", "1_0"), "--mean 1_0: must be numbers with commas"),
        (("--std", "0"), "std a number from 1e-06 to 1000000"),
        (("--interpolation", "area"), "interpolation area: none; allowed: nearest"),
        (("--certificate", "laplace_l1"), "has no theorem for noise gaussian"),
        (("--model", "mynet:net"), "--model mynet:net: no source of models; allowed: torchvision:..."),
    ],
)
def test_options_that_do_not_go(refused, options, line):
    assert line in refused(*PHOTOS, *options)


def test_a_checkpoint_has_no_budget(refused):
    message = refused("--checkpoint", "a.pt", "--data", "digits", "--sigma", "0.25", "--budget", "1min")
    assert message == "rs: certify: --budget does not go with --checkpoint"
