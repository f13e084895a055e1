"""What `--out` holds beside votes, where it is not what was written: one line, and votes are as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NET = ("--channels", "1", "--sigma", "0.25", "--out", "out", "--model", "entry:mynet:net")
NET = (*NET, "--data", "photos", "--n", "100", "--images", "3")
CLAIM = {"n": 100, "images": 3, "alpha": 0.001, "certificate": {"name": "cohen"}}
CHOICES = {"wishes": {}, "n": 100, "images": 3, "claimed": [CLAIM]}

IDENTITIES = [
    [],
    {},
    {"identity": [], "answers": []},
    {"identity": {}, "answers": {}},
    {"identity": {}, "answers": ["1 x"]},
    {"identity": {}, "answers": [1.5]},
]
LISTS = [
    [1],
    {"wishes": {}},
    CHOICES | {"wishes": []},
    CHOICES | {"n": "100"},
    CHOICES | {"images": 0},
    CHOICES | {"claimed": {}},
    CHOICES | {"claimed": [[]]},
    CHOICES | {"claimed": [CLAIM | {"n": True}]},
    CHOICES | {"claimed": [CLAIM | {"alpha": "0.001"}]},
    CHOICES | {"claimed": [CLAIM | {"certificate": "cohen"}]},
    CHOICES | {"claimed": [CLAIM | {"certificate": {}}]},
]


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        ("identity.json", IDENTITIES, "does not say whose votes these are; remove out and run again"),
        (
            "choices.json",
            LISTS,
            "does not hold the choices of a certification; remove it and run again (votes are kept)",
        ),
    ],
)
def test_a_file_of_something_else(certify, refused, name, contents, says):
    assert certify(*NET)[0] == 0
    kept = {file: file.read_bytes() for file in Path("out").rglob("*.parquet")}
    file = Path("out", name)
    whole = file.read_bytes()
    for content in contents:
        file.write_text(json.dumps(content))
        assert refused(*NET) == f"rs: out/{name}: {says}", content
    file.write_bytes(whole[:-40])
    assert f"out/{name}: not a complete JSON file" in refused(*NET)
    file.write_bytes(whole + b" ")
    assert f"out/{name}: damaged or edited" in refused(*NET)
    assert {file: file.read_bytes() for file in Path("out").rglob("*.parquet")} == kept
    file.write_bytes(whole)
    assert certify(*NET)[0] == 0


def test_choices_without_a_checksum_are_read(certify):
    """As they are written, they hold: a person may take out what does not."""
    assert certify(*NET)[0] == 0
    Path("out/choices.json").write_text(json.dumps(CHOICES | {"claimed": [CLAIM | {"alpha": 0.5}]}))
    assert "claimed with alpha = 0.5" in certify(*NET)[1]
