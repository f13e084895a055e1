"""All that a plug-in's distribution holds counts as its code; what cannot be followed is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab import forget
from lab import lab as lab  # fixture
from plug_ins import describe

from rs.errors import UserError
from rs.provenance import own_modules
from rs.provenance.code import code_digest, here
from rs.settings.plugins import plug_ins
from rs.study.plugin_schema import files_of

LOSS = "from flat_helper import price\n\n\nclass Flat:\n    def loss(self, x):\n        return price(x)\n"
HELPER = "def price(x):\n    return 2 * x\n"


@pytest.fixture(autouse=True)
def flat(lab):
    """A distribution of two top-level modules, of which one has the objective."""
    describe(lab, "flat", "1.0", {"rs.objectives": {"flat": "flat:Flat"}})
    write(lab / "flat.py", LOSS)
    write(lab / "flat_helper.py", HELPER)
    own_modules._installed.cache_clear()
    yield lab
    own_modules._installed.cache_clear()


def write(file: Path, text: str | bytes) -> None:
    """Every version of a file has another time, however fast they follow."""
    time = file.stat().st_mtime_ns + 1 if file.exists() else None
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    if time:
        os.utime(file, ns=(time, time))
    forget()


def codes() -> str:
    return code_digest(["flat:Flat"])


def test_a_module_beside_the_method_s_counts(flat):
    before = codes()
    write(flat / "flat_helper.py", f"# a remark\n\n{HELPER}\n\ndef other():\n    return 1\n")
    assert codes() == before
    write(flat / "flat_helper.py", HELPER.replace("2", "3"))
    assert codes() != before
    write(flat / "flat_helper.py", "from flat_more import price\n")  # and so on
    write(flat / "flat_more" / "__init__.py", HELPER.replace("2", "3"))
    more = codes()
    write(flat / "flat_more" / "__init__.py", HELPER)
    assert codes() != more
    assert codes() == before, "where a definition lies does not count"


def test_its_schema_follows_the_module_beside_it(flat):
    (plug_in,) = plug_ins()
    before = dict(files_of(plug_in))
    assert {Path(file).name for file in before} == {"flat.py", "flat_helper.py"}
    write(flat / "flat_helper.py", HELPER.replace("2", "3"))
    changed = {Path(file).name for file, content in files_of(plug_in) if before[file] != content}
    assert changed == {"flat_helper.py"}


@pytest.mark.parametrize("record", ["", "flat.py,,\nflat_helper.py,,\n"])
def test_of_a_folder_with_several_distributions_its_own_modules_count(flat, monkeypatch, record):
    """`flat_helper` belongs to it where the list of its files says so, else to another distribution."""
    monkeypatch.setattr(own_modules, "INSTALLED", {flat.resolve()})
    (flat / "flat-1.0.dist-info" / "RECORD").write_text(record)
    assert {Path(root).name for root in here("flat:Flat").roots.values()} - {"rs"} == (
        {"flat", "flat_helper"} if record else {"flat"}
    )
    before = codes()
    write(flat / "flat_helper.py", HELPER.replace("2", "3"))
    assert (codes() != before) is bool(record)


def test_another_folder_s_modules_are_libraries(flat, tmp_path, monkeypatch):
    (flat / "flat_helper.py").rename(tmp_path / "flat_helper.py")
    monkeypatch.syspath_prepend(tmp_path)
    before = codes()
    write(tmp_path / "flat_helper.py", HELPER.replace("2", "3"))
    assert codes() == before
    assert set(here("flat:Flat").roots) == {"rs", "flat"}


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("import importlib", "importlib.import_module('flat_helper').price"),
        ("from importlib import import_module", "import_module('flat_helper').price"),
        ("from importlib import import_module as load", "load('torch').abs"),
        ("import importlib", "importlib.import_module('flat_' + 'helper').price"),
        ("import importlib", "importlib.import_module('.flat_helper', 'flat').price"),
        ("import importlib", "(lambda load: load('flat_helper').price)(importlib.import_module)"),
        ("import importlib", "importlib.import_module('rs.smoothing.smoothed').noisy_copies"),
        ("import runpy", "runpy.run_path('flat_helper.py')['price']"),
        ("import torch", "__import__('flat_helper').price"),
        ("import torch", "eval('torch.abs')"),
        ("import torch", "globals()['torch'].abs"),
    ],
)
def test_what_is_looked_up_by_text_is_one_line(flat, imports, call):
    write(flat / "flat.py", f"{imports}\n\n\nclass Flat:\n    def loss(self, x):\n        return {call}(x)\n")
    with pytest.raises(
        UserError, match=r"flat\.py:6: code digest: what `.*` looks up by text cannot be foll"
    ):
        codes()


def test_what_a_module_looks_up_where_it_is_imported_is_one_line_too(flat):
    write(
        flat / "flat_helper.py", f"import importlib\n\n_ = importlib.import_module('flat_more')\n\n\n{HELPER}"
    )
    write(flat / "flat_more.py", "")
    with pytest.raises(UserError, match=r"flat_helper\.py:3: code digest: what `importlib\.import_module`"):
        codes()


def test_libraries_may_be_looked_up_and_so_may_what_no_method_executes(flat):
    body = "torch = importlib.import_module('torch')\n        return price(x.eval().exec(torch.globals))"
    text = LOSS.replace("return price(x)", body)
    aside = "\n\ndef aside(name):\n    return importlib.import_module(name)\n"
    write(flat / "flat.py", f"import importlib\n{text}{aside}")
    assert codes()


def test_a_module_that_cannot_be_followed_is_one_line(flat):
    (flat / "flat_helper.py").unlink()
    write(flat / "flat_helper" / "prices.py", HELPER)
    write(flat / "flat.py", LOSS.replace("flat_helper", "flat_helper.prices"))
    with pytest.raises(UserError, match=r"flat_helper: .*flat imports it.*a package needs an __init__\.py"):
        codes()
    write(flat / "flat_helper" / "__init__.py", "")
    assert codes()


# --- files that are no Python, or in another encoding ---


def test_a_syntax_error_is_one_line_with_its_file(flat):
    write(flat / "flat_helper.py", f"{HELPER}\n\ndef other(:\n    pass\n")
    with pytest.raises(UserError, match=r"flat_helper\.py:5: code digest: cannot be read as Python: invalid"):
        codes()
    write(flat / "flat_helper.py", b"price = 1\0")
    with pytest.raises(UserError, match=r"flat_helper\.py.*: code digest: cannot be read as Python: source"):
        codes()


def test_files_are_decoded_as_python_decodes_them(flat):
    """By the encoding that they declare; and one that no method needs may be anything."""
    latin = "# -*- coding: latin-1 -*-\nNAME = 'é'\n"
    write(flat / "flat_helper.py", f"{latin}\n\n{HELPER.replace('2', 'len(NAME)')}".encode("latin-1"))
    before = codes()
    write(flat / "flat_helper.py", f"NAME = 'é'\n\n\n{HELPER.replace('2', 'len(NAME)')}")
    assert codes() == before
    write(flat / "flat_helper.py", f"NAME = 'é'\n{HELPER}".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"flat_helper\.py.*: code digest: cannot be read as Python: .*'utf-8'"
    ):
        codes()
    write(flat / "flat_helper.py", b"")
    (flat / "flat_helper.py").unlink()
    write(flat / "flat_helper" / "__init__.py", HELPER)
    write(flat / "flat_helper" / "aside.py", "NAME = 'é'\n".encode("latin-1"))
    assert codes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("from .prices import price\n", "import absolutely: from flat_helper.prices import price"),
        ("from . import prices as price\n", "import absolutely: from flat_helper import prices"),
        ("from ..prices import price\n", "import absolutely$"),
        ("from math import *\n", "from math import \\* cannot be followed; import its names"),
    ],
)
def test_an_import_that_cannot_be_followed_says_what_to_write(flat, text, says):
    (flat / "flat_helper.py").unlink()
    write(flat / "flat_helper" / "__init__.py", text)
    write(flat / "flat_helper" / "prices.py", HELPER)
    with pytest.raises(UserError, match=says):
        codes()
