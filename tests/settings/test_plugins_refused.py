"""What breaks the protocol of plug-ins is one line, whatever it is."""

from __future__ import annotations

import importlib
import re

import pytest
from lab import installed as installed  # fixtures
from lab import lab as lab
from plug_ins import describe

from rs.errors import UserError
from rs.methods import catalog
from rs.provenance import user_cache
from rs.study.plugin_schema import broken

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
@dataclass(frozen=True)
class Mine:
    "Mine."
    source: ClassVar[str] = "here"
"""
CERTIFY = "    def certify(self, draws, noise, alpha): ...\n"
NEEDS = '    needs: ClassVar = frozenset({"counts"})\n    rigorous: ClassVar = True\n'


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (
            "objectives",
            "import nowhere_to_be_found",
            "cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("objectives", "raise SystemExit('bye')", "cannot be imported: SystemExit: bye"),
        ("objectives", "class Mine(", "cannot be imported: SyntaxError: "),
        ("objectives", "", "AttributeError: module 'broken' has no attribute 'Mine'"),
        ("objectives", "class Mine: ...", "must be a frozen dataclass"),
        ("objectives", HEAD.replace("(frozen=True)", ""), "must be a frozen dataclass"),
        ("objectives", HEAD.replace("here", ""), "must state its `source`"),
        ("objectives", HEAD, "lacks the method `loss`"),
        (
            "objectives",
            HEAD + "    def loss(self, model, x, y): ...\n",
            "`loss` must take (model, x, y, noise, ",
        ),
        (
            "objectives",
            HEAD + "    a: object = None\n    b: 'Nowhere' = 1\n    def loss(*all): ...\n",
            "a schema: ",
        ),
        ("noises", HEAD + "    def sample(self, shape, generator): ...\n", "lacks the method `log_ratio`"),
        (
            "noises",
            HEAD
            + "    def sample(self, shape, generator): ...\n    def log_ratio(self, noise, shift): ...\n",
            "must state its `family`: family: ClassVar[str] = 'mine'",
        ),
        ("attacks", HEAD, "lacks the method `at_radii or minimal`"),
        ("attacks", HEAD + "    def minimal(self, smoothed, x, y): ...\n", "must state its `norm`"),
        ("certificates", HEAD + CERTIFY, "must state its `norms`"),
        (
            "certificates",
            HEAD + "    norms: ClassVar = {'gaussian': 3}\n" + NEEDS + CERTIFY,
            "to 1, 2 or inf",
        ),
        (
            "certificates",
            HEAD
            + "    norms: ClassVar = {'gaussian': 2}\n    spends: ClassVar = ({'aside': 'x'},)\n"
            + NEEDS
            + CERTIFY,
            "its `spends` hold aside = 'x'; it must be one of its parameters",
        ),
        ("models", HEAD + "    def build(self, shape, classes, mean, std): ...\n", "must state its `shapes`"),
        ("datasets", HEAD + "    def load(self, data_dir): ...\n", "must state its `shape`"),
    ],
)
def test_a_plug_in_that_breaks_the_protocol_is_one_line(lab, tiny, refusal, kind, text, says):
    (lab / "broken.py").write_text(text)
    describe(lab, "broken", "2.0", {f"rs.{kind}": {"mine": "broken:Mine"}})
    message = refusal(tiny)
    assert message.startswith(f"plug-in broken 2.0: rs.{kind}: mine = broken:Mine: ")
    assert says in message
    assert not list(user_cache.folder("plug-ins").glob("*")), "nothing of it is kept"


@pytest.mark.parametrize(
    ("group", "name", "path", "says"),
    [
        (
            "rs.objective",
            "mine",
            "a:B",
            "no such kind of method (did you mean rs.objectives?); allowed: rs.data",
        ),
        ("rs.objectives", "My own", "a:B", "a name must match"),
        ("rs.objectives", "mine", "a", "must be module:Class"),
        (
            "rs.objectives",
            "mine",
            "rs.methods.objectives.nal:Nal",
            "must lie in a package of its own",
        ),
        (
            "rs.objectives",
            "mine",
            "nowhere_to_be_found.mine:Mine",
            "there is no module nowhere_to_be_found",
        ),
        ("rs.objectives", "nal", "nowhere_to_be_found:Mine", "a method of rs has this name"),
    ],
)
def test_an_entry_point_that_cannot_be_one_is_one_line(lab, tiny, refusal, group, name, path, says):
    describe(lab, "broken", "2.0", {group: {name: path}})
    assert says in refusal(tiny)


def test_two_plug_ins_of_one_name_are_one_line(installed, tiny, refusal):
    describe(installed, "other-lab", "3.1", {"rs.noises": {"logistic": "other:Logistic"}})
    assert "plug-in other-lab 3.1: rs.noises: logistic = other:Logistic: lab-methods 1.0 has" in refusal(tiny)


def test_a_noise_states_the_name_that_certificates_know_it_by(installed, tiny, refusal):
    file = installed / "lab_methods" / "logistic.py"
    file.write_text(file.read_text().replace('"logistic"', '"logistics"'))
    assert "its `family` is 'logistics'; it must be its name 'logistic'" in refusal(tiny)


def test_an_unknown_module_of_a_table_of_contents_is_one_line(monkeypatch):
    monkeypatch.setitem(catalog.TABLES["noises"], "lost", "rs.methods.noise.lost:Lost")
    monkeypatch.setitem(catalog.TABLES["noises"], "other", "rs.methods.noise.gaussian:Lost")
    for name, says in (
        ("lost", "No module named 'rs.methods.noise.lost'"),
        ("other", "has no attribute 'Lost'"),
    ):
        with pytest.raises(UserError, match=f"noises {name} = rs.methods.noise.*{says}"):
            catalog.find("noises", name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "        import importlib\n        return importlib.import_module('broken').price(x)\n",
            "looks up by text",
        ),
        ("        from nowhere_to_be_found import price\n        return price(x)\n", ""),
        (
            "        from rs.smoothing.smoothed import nothing\n        return nothing(x)\n",
            "no 'nothing' in module",
        ),
    ],
)
def test_code_that_no_digest_can_follow_is_one_line_before_anything_runs(
    lab, tiny, refusal, plan_of, text, says
):
    loss = "    def loss(self, model, x, y, noise, generator, progress):\n"
    (lab / "broken.py").write_text(HEAD + loss + text)
    describe(lab, "broken", "2.0", {"rs.objectives": {"mine": "broken:Mine"}})
    if not says:
        assert plan_of(tiny), "a library may be missing until it is needed"
        return
    message = refusal(tiny)
    assert message.startswith("plug-in broken 2.0: rs.objectives: mine = broken:Mine: ")
    assert says in message


LOSS = "    def loss(self, model, x, y, noise, generator, progress):\n        return {}, {{}}\n"
VOTES = "    norms: ClassVar = {'gaussian': 2}\n" + NEEDS + CERTIFY
ATTACK = (
    "    norm: ClassVar = 2\n    access: ClassVar = 'white-box'\n    def minimal(self, smoothed, x, y): ...\n"
)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("certificates", VOTES + "    anytme: ClassVar[bool] = True\n", "`anytme`, .* mean anytime"),
        ("certificates", VOTES + "    any_time = True\n", "`any_time`, .* mean anytime"),
        ("certificates", VOTES + "    anytime: ClassVar = 'yes'\n", "`anytime` is 'yes': .*valid boolean"),
        (
            "certificates",
            VOTES + "    bound: ClassVar = 'hoefding'\n",
            "`bound` is 'hoefding': .*'hoeffding'",
        ),
        ("attacks", ATTACK + "    keep_broken: ClassVar[bool] = True\n", "`keep_broken`, .* keeps_broken"),
        ("objectives", LOSS.format("x.mean()") + "    noise: ClassVar = frozenset()\n", "mean noises"),
        ("objectives", LOSS.format("x.mean() * progress"), r"`loss` uses `progress`; it must state `phase"),
        ("objectives", LOSS.format("[x for _ in [1] if progress > 0.5]"), "`loss` uses `progress`"),
    ],
)
def test_a_misspelt_fact_and_an_unannounced_phase_are_one_line(lab, tiny, refusal, kind, text, says):
    (lab / "broken.py").write_text(HEAD + text)
    describe(lab, "broken", "2.0", {f"rs.{kind}": {"mine": "broken:Mine"}})
    assert re.search(says, refusal(tiny))


def test_what_is_a_method_s_own_is_no_fact(lab):
    text = "    _table: ClassVar = {}\n    TOP: ClassVar[int] = 3\n    anytime: ClassVar[bool] = True\n"
    text += "    share: float = 0.5\n    @property\n    def half(self): return self.share / 2\n"
    text += "    def at(self): ...\n    @staticmethod\n    def of(): ...\n"
    (lab / "broken.py").write_text(HEAD + VOTES + text)
    assert broken("certificates", "mine", importlib.import_module("broken").Mine) == ""
    loss = LOSS.format("x.mean() * self.phase(progress)")
    loss += "    def phase(self, progress): return progress > 0.5\n"
    (lab / "broken_too.py").write_text(HEAD + loss)
    assert broken("objectives", "mine", importlib.import_module("broken_too").Mine) == ""
