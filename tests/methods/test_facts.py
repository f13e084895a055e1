"""Optional facts of methods: one list with defaults, which readers, protocols and plug-ins are held to."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import pytest

from rs.methods import catalog, interfaces
from rs.provenance.code import ROOT
from rs.settings.method_facts import OPTIONAL
from rs.smoothing import noise
from rs.study.plugin_schema import broken

KNOWN = {fact: option.default for facts in OPTIONAL.values() for fact, option in facts.items()}
# the ball of a noise family's theorem
BALLS = {"gaussian": 2, "laplace": 1, "uniform": 1, "spherical": 2}
BALLS |= {"mixed_norm": math.inf, "sup_norm": math.inf}
# their own proof does not cover what they compute
ESTIMATES = {"dual_published", "neyman_pearson", "renyi", "tcertify"}
METHODS = [(kind, name) for kind, table in catalog.TABLES.items() for name in table]


@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_a_built_in_method_keeps_the_protocol_that_plug_ins_are_held_to(kind, name):
    assert broken(kind, name, catalog.find(kind, name)) == ""


def test_certificates_claim_the_norms_of_their_theorems_and_estimates_no_proof():
    found = {name: catalog.find("certificates", name) for name in catalog.table("certificates")}
    for name, certificate in found.items():
        over = {"gaussian": math.inf} if name == "cohen_linf" else {}  # from l2 through the dimension
        assert certificate.norms == {noise: {**BALLS, **over}[noise] for noise in certificate.norms}, name
    assert {name for name, certificate in found.items() if not certificate.rigorous} == ESTIMATES


def test_whoever_asks_for_a_fact_that_may_be_absent_takes_the_declared_default():
    facts = set()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "getattr" and len(node.args) == 3 and isinstance(node.args[1], ast.Constant):
                fact, default = node.args[1].value, ast.unparse(node.args[2])
                if fact in KNOWN and default != "None":
                    assert default == repr(KNOWN[fact]), f"{file}: {fact}"
                    facts.add(fact)
    assert facts == {"constant", "bounded", "keeps_broken", "samples", "networks", "output"}


def test_the_page_of_protocols_states_every_optional_fact_with_its_default():
    page = Path(interfaces.__file__).read_text() + Path(noise.__file__).read_text()
    for fact, default in KNOWN.items():
        if fact in ("mean", "std", "name", "passes"):  # absent, they are measured, not needed, not priced
            continue
        written = f'"{default}"' if isinstance(default, str) else re.escape(repr(default))
        assert re.search(rf"# {fact}: .* = {written}[,:]", page), fact
