"""docs/adding.md is true: each of its methods is added as it stands, built, and passes its test."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rs.methods import catalog
from rs.methods.certificates.probabilities import noise_name
from rs.methods.counterexamples import counterexample
from rs.settings.method_schema import dataclass_schema

PAGE = Path(__file__).resolve().parents[1] / "docs/adding.md"
BLOCKS = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
METHODS = {path: code for path, code in BLOCKS.items() if path.startswith("rs/methods/")}
TESTS = [path for path in BLOCKS if path.startswith("tests/")]
KINDS = {"data": "datasets", "noise": "noises"}  # where the catalog's word is another than the folder's


def load(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The block as the module that its first line says."""
    name = path.removesuffix(".py").replace("/", ".")
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(BLOCKS[path])
    found = importlib.util.spec_from_file_location(name, file)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, name, module)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """Every method of the page, with its line in its table of contents."""
    classes = {}
    for path in METHODS:
        module, kind = load(path, tmp_path, monkeypatch), path.split("/")[2]
        (cls,) = (c for c in vars(module).values() if getattr(c, "__module__", "") == module.__name__)
        kind = KINDS.get(kind, kind)
        monkeypatch.setitem(catalog.TABLES[kind], Path(path).stem, f"{module.__name__}:{cls.__name__}")
        classes[kind] = cls
    return classes


def test_the_page_has_one_of_each_kind_that_is_built_from_a_study(added: dict[str, type]) -> None:
    assert added.keys() == catalog.TABLES.keys()
    for kind, cls in added.items():
        name = next(
            name for name, place in catalog.TABLES[kind].items() if place.endswith(f":{cls.__name__}")
        )
        needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
        assert isinstance(catalog.build(kind, {"name": name, **dict.fromkeys(needed, 0.5)}), cls)
        assert set(dataclass_schema(cls)["properties"]) == {f.name for f in dataclasses.fields(cls)}


def test_there_is_no_counterexample_to_the_page_s_certificate(added: dict[str, type]) -> None:
    certificate, noise = added["certificates"](), added["noises"](0.5)
    assert set(certificate.norms) == {noise_name(certificate, noise)}
    for norm in certificate.norms.values():
        assert counterexample(certificate, noise, norm) is None


@pytest.mark.parametrize("path", TESTS)
@pytest.mark.usefixtures("added")
def test_an_example_passes_its_test(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = [value for name, value in vars(load(path, tmp_path, monkeypatch)).items() if name[:5] == "test_"]
    assert tests
    for test in tests:
        test()


def test_every_example_has_a_test_and_every_named_file_is_there() -> None:
    assert {Path(path).stem for path in METHODS} == {Path(path).stem.removeprefix("test_") for path in TESTS}
    named = re.findall(r"`(rs/[\w/]+(?:\.py|/))`", PAGE.read_text())
    assert [path for path in named if not (PAGE.parents[1] / path).exists()] == []
