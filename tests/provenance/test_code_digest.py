"""Code digests change with what a job computes, and with nothing else."""

from __future__ import annotations

import ast

import golden
import pytest
from edited_code import EditedCode

from rs.errors import UserError
from rs.provenance import code as digests
from rs.provenance.code import OUTSIDE, code_digest, here

pytestmark = pytest.mark.slow  # parses the whole package for each edit


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A copy of the package whose files can be edited; digests are taken of it."""
    made = EditedCode(tmp_path)
    monkeypatch.setattr(digests, "ROOT", made.root)
    return made


@pytest.fixture
def before(code):
    return golden.code_digests()


# --- what changes nothing ---


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("methods/objectives/macer.py", "    def loss(", "    # a remark\n\n    def loss("),
        ("methods/objectives/macer.py", '"""MACER (', '"""MACER, as published ('),
        ("methods/objectives/macer.py", '    """Maximises', '    """It maximises'),
        ("methods/objectives/macer.py", 'source: ClassVar[str] = "', 'source: ClassVar[str] = "As in '),
        ("methods/objectives/macer.py", '{"update": (1, "k")}', '{"update": (2, "k")}'),
        ("stages/train.py", "diverged in epoch", "went astray in epoch"),
        ("stages/train.py", "continuing after epoch", "going on after epoch"),
        ("stages/train.py", '"epochs", first)', '"rounds", 0)'),
        ("stages/train.py", "import Objective\n", "import Objective as Objective\n"),
        ("machine/progress.py", "SECONDS_BETWEEN_LINES = 5.0", "SECONDS_BETWEEN_LINES = 50.0"),
        ("machine/devices.py", "no bfloat16 arithmetic in this processor", "slow here"),
        (
            "settings/limits.py",
            "Share = Annotated[float, Field(gt=0,",
            "Share = Annotated[float, Field(gt=0.1,",
        ),
        ("settings/limits.py", "Epochs = Annotated[int, Field(ge=1,", "Epochs = Annotated[int, Field(ge=2,"),
        ("errors.py", "class UserError(", "class Other(Exception):\n    pass\n\n\nclass UserError("),
        ("methods/catalog.py", "TABLES: dict", "EXTRA = 1\nTABLES: dict"),
        ("settings/method_schema.py", "FACTS: dict", "EXTRA = 1\nFACTS: dict"),
        ("cli/main.py", "USAGE = ", "OTHER = 1\nUSAGE = "),
        ("plan/stages.py", '"train one run"', '"train a run"'),
        ("machine/launching.py", '"""', '"""Also: '),
        ("study/study.py", "RUN_KEYS", "_RUN_KEYS = ()\nRUN_KEYS"),
        ("methods/certificates/probabilities.py", "no theorem for noise", "nothing is known of noise"),
        (
            "statistics/bounds.py",
            "def bonferroni(",
            "def unused() -> int:\n    return 1\n\n\ndef bonferroni(",
        ),
        (
            "statistics/bounds.py",
            "def bonferroni(",
            "if not TYPE_CHECKING:\n    OTHER = 1\n\n\ndef bonferroni(",
        ),
        (
            "stages/certified_rows.py",
            "def accuracy_factor(certificate: Any,",
            "def accuracy_factor(certificate: object,",
        ),
    ],
)
def test_what_computes_nothing_is_outside(code, before, file, old, new):
    code.edit(file, old, new)
    assert code.stale(before) == set()


def test_a_setting_makes_its_own_stage_stale_only(code, before):
    code.edit(
        "settings/training.py",
        "    held_out: Position = 0\n",
        "    held_out: Position = 0\n    other: Seed = 0\n",
    )
    assert code.stale(before) == {"train", "calibrate"}  # which calibrates on the images trained on
    code.edit("settings/training.py", "    other: Seed = 0\n", "")
    assert code.stale(before) == set()
    code.edit(
        "settings/calibration.py", "    noise_in_cost: bool = False\n", "    noise_in_cost: bool = True\n"
    )
    assert code.stale(before) == {"calibrate"}


def move_bounds(code):
    """Into a package of its own."""
    code.write("levels/__init__.py", "")
    code.move("statistics/bounds.py", "levels/bounds.py")
    code.everywhere(r"from rs\.statistics\.bounds import", "from rs.levels.bounds import")
    together = r"^from rs\.statistics import bounds, (.+)$"
    code.everywhere(together, r"from rs.statistics import \1\nfrom rs.levels import bounds")
    code.everywhere(r"^from rs\.statistics import bounds$", "from rs.levels import bounds")


def test_a_moved_module_changes_nothing(code, before):
    move_bounds(code)
    assert code.stale(before) == set()
    code.move("smoothing/smoothed.py", "levels/smoothed.py")
    with pytest.raises(UserError, match=r"no module rs\.smoothing"):
        golden.code_digests()
    code.everywhere(r"from rs\.smoothing\.smoothed import", "from rs.levels.smoothed import")
    assert code.stale(before) == set()


def test_a_definition_that_moves_to_another_file_changes_nothing(code, before):
    text = (code.root / "statistics/bounds.py").read_text()
    node = next(n for n in ast.parse(text).body if getattr(n, "name", "") == "bonferroni")
    moved = ast.get_source_segment(text, node)
    head = text.partition('"""\n\n')[2].partition("\n\n\n")[0].replace("from __future__", "# from __future__")
    code.write("statistics/bounds.py", text.replace(moved, "from rs.levels import bonferroni"))
    code.write("levels.py", f"{head}\nfrom rs.statistics.bounds import checked_alpha\n\n\n{moved}\n")
    assert code.stale(before) == set()
    code.edit("levels.py", "return", "return 0 +")
    assert "certificates/renyi" in code.stale(before)


def test_a_new_method_changes_nothing(code, before):
    code.write("methods/objectives/newer.py", (code.root / "methods/objectives/nal.py").read_text())
    code.edit(
        "methods/objectives/__init__.py",
        '"nal":',
        '"newer": "rs.methods.objectives.newer:Newer",\n    "nal":',
    )
    code.edit("methods/noise/__init__.py", '"none":', '"newer": "rs.methods.noise.newer:Newer",\n    "none":')
    cohen = (code.root / "methods/certificates/cohen.py").read_text()
    code.write(
        "methods/certificates/cohen.py", cohen + "\n\nclass Newer(Cohen):\n    def certify(self): ...\n"
    )
    assert code.stale(before) == set()


# --- what changes exactly what executes it ---


def test_a_code_edit_concerns_its_method_only(code, before):
    code.edit("methods/objectives/macer.py", "] = 8.0", "] = 9.0")
    assert code.stale(before) == {"objectives/macer"}
    code.edit("methods/objectives/macer.py", "] = 9.0", "] = 8.0")
    assert code.stale(before) == set()


def test_imports_are_followed(code, before):
    code.edit("smoothing/ascent.py", "scaled = gradient / largest", "scaled = gradient / (2 * largest)")
    stale = code.stale(before)
    assert {"objectives/smoothadv", "objectives/trades", "attacks/pgd_l2", "attacks/pgd_linf"} <= stale
    others = {"train", "sample", "certify", "calibrate", "objectives/macer", "objectives/nal"}
    assert not (others | {"attacks/lagrangian"}) & stale
    assert not any(name.startswith(("certificates", "noises", "models", "datasets")) for name in stale)


def test_a_bound_edited_behind_a_package_that_hands_it_on_concerns_what_executes_it(code, before):
    move_bounds(code)
    cohen = code.root / "methods/certificates/cohen.py"
    code.everywhere(r"rs\.levels\.bounds import randomised_upper$", "rs.levels import randomised_upper")
    code.write("levels/__init__.py", "from rs.levels.bounds import randomised_upper\n")
    assert "from rs.levels import randomised_upper" in cohen.read_text()
    assert code.stale(before) == set()
    code.edit("levels/bounds.py", "def randomised_upper(", "@functools.cache\ndef randomised_upper(")
    below = {"certificates/cohen", "certificates/cohen_linf"}
    below |= {"certificates/group_sequential", "certify by tests"}  # which fall back on cohen
    assert code.stale(before) == below


WAYS = {  # of sampling, by the module of each
    "sample": "sample",
    "sample_answered": "sample with answers",
    "sample_group_sequential": "sample by tests",
    "sample_incremental": "sample from answers",
    "sample_sequential": "sample until decided",
}


CERTIFYING = {
    "certify": "certify",
    "certify_group_sequential": "certify by tests",
    "certify_incremental": "certify from answers",
}


@pytest.mark.parametrize(("module", "stage"), (WAYS | CERTIFYING).items(), ids=WAYS | CERTIFYING)
def test_an_edit_of_a_way_makes_its_votes_or_radii_stale_only(code, before, module, stage):
    certifies = "    warn_of_versions(draws, folder)\n"
    line = certifies if module in CERTIFYING else "    voter = JobVoter(spec, inputs, device)\n"
    code.edit(f"stages/{module}.py", line, 2 * line)
    assert code.stale(before) == {stage}


def test_what_is_gone_through_under_a_progress_line_counts(code, before):
    code.edit("stages/sample.py", "follow(cast(voter, ballots)", "follow(cast(voter, ballots[1:])")
    assert code.stale(before) == {"sample"}
    code.edit("stages/calibrate.py", "follow(pieces,", "follow(pieces[1:],")
    assert code.stale(before) == {"sample", "calibrate"}
    code.edit("stages/voter.py", "yield from follow(items,", "yield from follow(list(items)[1:],")
    assert code.stale(before) == {*WAYS.values(), "calibrate"}


def test_a_name_that_is_bound_to_another_definition_counts(code, before):
    """The definitions that are executed stay the same; which of them a name means does not."""
    text = "import math\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 2\n"
    code.write("pair.py", text + "\n\ndef both(first, second):\n    return first() + 2 * second()\n")
    use = "from rs.pair import one as a, two as b, both\n\n\ndef use():\n    return both(a, b)\n"
    code.write("user.py", use)
    first = code_digest(["rs.user:use"])
    code.write("user.py", use.replace("one as a, two as b", "two as a, one as b"))
    assert code_digest(["rs.user:use"]) != first
    code.write("user.py", "from scipy.special import ndtri as f\n\n\ndef use():\n    return f(0.5)\n")
    first = code_digest(["rs.user:use"])
    code.write("user.py", "from scipy.special import ndtr as f\n\n\ndef use():\n    return f(0.5)\n")
    assert code_digest(["rs.user:use"]) != first


def test_what_a_module_executes_beside_definitions_counts(code):
    code.write("user.py", "from rs import aside\n\n\ndef use():\n    return 1\n")
    code.write("aside.py", "import torch\n")
    first = code_digest(["rs.user:use"])
    code.write("aside.py", "import torch\n\ntorch.backends.cudnn.allow_tf32 = True\n")
    second = code_digest(["rs.user:use"])
    code.write(
        "aside.py",
        "import torch\n\nif torch.cuda.is_available():\n    torch.use_deterministic_algorithms(True)\n",
    )
    assert len({first, second, code_digest(["rs.user:use"])}) == 3
    code.write("aside.py", 'import torch\n\nif __name__ == "__main__":\n    print(1)\n')
    assert code_digest(["rs.user:use"]) == first


def test_an_error_that_is_no_longer_raised_counts(code, before):
    code.edit(
        "methods/certificates/probabilities.py", "    if name not in certificate.norms:", "    if False:"
    )
    stale = code.stale(before)
    assert "certificates/cohen" in stale
    assert "certify" not in stale


# --- what cannot be followed is an error ---


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("from rs.nowhere import x\n\n\ndef use():\n    return x\n", r"no module rs\.nowhere"),
        (
            "from rs.statistics.bounds import nothing\n\n\ndef use():\n    return nothing()\n",
            "no 'nothing' in",
        ),
        (
            "from rs.statistics import bounds\n\n\ndef use():\n    return bounds.nothing()\n",
            "no 'nothing' in",
        ),
        (
            "from rs.statistics.bounds import *\n\n\ndef use():\n    return upper()\n",
            "user.py: .* cannot be followed",
        ),
        ("def use(:\n", r"user\.py:1: code digest: cannot be read as Python: invalid syntax"),
        ("from . import bounds\n\n\ndef use():\n    return bounds\n", "user.py: .* cannot be followed"),
        (
            "from rs.machine.progress import folow\n\n\ndef use():\n    return folow()\n",
            "no 'folow' in",
        ),
    ],
)
def test_code_that_is_named_and_not_found_is_an_error(code, text, says):
    code.write("user.py", text)
    with pytest.raises(UserError, match=says):
        code_digest(["rs.user:use"])


def test_entries_must_exist():
    for entry in ("rs.nowhere", "rs.nowhere:x", "rs.statistics.bounds:nothing", "numpy", "numpy:array"):
        with pytest.raises(UserError, match="code digest: no"):
            code_digest([entry])
    assert code_digest(["rs.statistics.bounds:bonferroni"] * 2) == code_digest(
        ["rs.statistics.bounds:bonferroni"]
    )
    assert code_digest(["rs.statistics.bounds"]) != code_digest(["rs.statistics.bounds:bonferroni"])


def test_every_exception_exists():
    whole = here()
    for name in OUTSIDE:
        module, _, attribute = name.partition(":")
        assert whole.module(module).names.keys() >= ({attribute} - {""}), name
