"""What `rs certify --model` wrote is compared, on the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest

import rs
from rs.cli.main import main
from rs.provenance.files import read_table


def test_two_certifications_are_compared(certify, place, capsys):
    """As rs.compare does the same two in Python."""
    for out, entry in (("one", "net"), ("other", "other_order")):
        options = ("--model", f"entry:mynet:{entry}", "--channels", "1", "--sigma", "0.25", "--n", "700")
        assert certify(*options, "--data", "sorted", "--out", out)[0] == 0
    assert main(["compare", "one", "other/images.parquet", "--at", "0", "--json"]) == 0
    pairs = {(row["about"], row["metric"]): row for row in json.loads(capsys.readouterr().out)["pairs"]}
    radii = [
        read_table(place / out / "images.parquet")[0]
        .to_pandas()
        .eval("radius * (prediction == label)")
        .to_numpy()
        for out in ("one", "other")
    ]
    assert pairs["networks", "acr"]["difference"] == pytest.approx(float(np.mean(radii[0] - radii[1])))
    found = rs.compare("one", "other", radii=[0.0]).set_index("metric")
    assert found.loc["acr", "difference"] == pairs["networks", "acr"]["difference"]
    assert main(["power", "one", "other", "--difference", "0.1"]) == 0


def test_distances_of_images_that_were_prepared_otherwise_are_not_compared_unasked(certify, place, capsys):
    """An l2 radius in fewer pixels is another distance."""
    options = ("--model", "entry:mynet:net", "--channels", "1", "--sigma", "0.25", "--n", "100")
    for out, more in (("as_they_are", ()), ("resized", ("--size", "8", "--interpolation", "nearest"))):
        assert certify(*options, *more, "--data", "sorted", "--out", out)[0] == 0
    assert main(["compare", "as_they_are", "resized"]) == 1
    line = "preprocessing channels 1 and resize 8 nearest, crop 8x8, channels 1: not under the same"
    assert line in capsys.readouterr().err
    assert main(["compare", "as_they_are", "resized", "--across"]) == 0
