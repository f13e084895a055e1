"""Digests do not see how local variables are named, and see everything else about them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from rs.provenance.plain_syntax import Module

BEFORE = """
import math

SCALE = 2.0

def area(radius, exact=SCALE):
    first, second = math.pi, radius**2
    try:
        total = sum(part * SCALE for part in (first, second))
    except ValueError as error:
        raise RuntimeError(error) from error
    def inner(shift=0):
        return total + first + shift
    return inner(shift=1) - second
"""


def text(source: str) -> str:
    return Module(source).names["area"].text


def changed(*edits: tuple[str, str]) -> str:
    source = BEFORE
    for old, new in edits:
        source, count = re.subn(rf"(?<!\w){re.escape(old)}(?!\w)", new, source)
        assert count
    ast.parse(source)
    return source


@pytest.mark.parametrize(
    "edits",
    [
        [("first", "pi")],
        [("second", "square")],
        [("first", "x"), ("second", "first"), ("x", "second")],  # each other's names
        [("total", "found")],
        [("part", "value")],
        [("error", "wrong")],
    ],
)
def test_a_renamed_local_changes_nothing(edits):
    assert text(changed(*edits)) == text(BEFORE)


@pytest.mark.parametrize(
    "edits",
    [
        [("first, second = math.pi, radius**2", "second, first = math.pi, radius**2")],
        [("first + shift", "second + shift")],
        [("- second", "- first")],
        [("first, second =", "SCALE, second ="), ("(first", "(SCALE"), ("first +", "SCALE +")],  # now a local
        [("part * SCALE", "part * part")],
        [("area(radius", "area(size"), ("radius", "size")],  # a caller may give it by name
        [("shift", "offset")],
        [("inner", "within")],
        [("total +", "totals +")],  # a variable that nobody stores
        [("exact=SCALE", "exact=total")],  # evaluated outside
        [("first, second =", "first = second =")],
    ],
)
def test_another_computation_counts(edits):
    assert text(changed(*edits)) != text(BEFORE)


def test_names_that_may_mean_something_else_are_kept():
    one = "def area():\n    global count\n    count = 1\n    return count\n"
    assert text(one) != text(one.replace("count", "number"))
    one = "def area():\n    class Box:\n        side = 1\n    return Box.side\n"
    assert text(one) != text(one.replace("side", "edge"))
    one = "def area():\n    import math as m\n    return m.pi\n"
    assert text(one) != text(one.replace(" m", " other").replace("m.", "other."))
    one = "def area(x):\n    match x:\n        case [first, *rest]:\n            return first\n"
    assert text(one) != text(one.replace("first", "head"))
    one = "def area():\n    len = 3\n    return len\n"  # hides the builtin
    assert text(one) != text(one.replace("len", "length"))


def test_methods_of_classes_are_renamed_and_class_attributes_are_not():
    one = "class area:\n    side = 1\n    def size(self):\n        found = self.side\n        return found\n"
    assert text(one) == text(one.replace("found", "length"))
    assert text(one) != text(one.replace("side", "edge"))


def test_a_local_does_not_hide_a_definition_that_is_used():
    """`bound` is a local of one function and a definition that the other executes."""
    hides = "def bound():\n    return 1\ndef area():\n    bound = 2\n    return bound\n"
    module = Module(hides + "def use():\n    return bound()\n")
    assert ("bound",) in module.names["use"].written
    assert ("bound",) in module.names["area"].written  # in doubt more


SWAPPED = [
    "def area(a, b):\n    {0} = {0} + 1\n    return {0}\n",  # arguments
    "def area():\n    global a, b\n    {0} = 1\n    {1} = 2\n",
    "def area():\n    class Box:\n        {0} = 1\n        {1} = 2\n    return Box\n",
    "def area():\n    import a, b\n    {0} = {0}.pi\n    return {0}\n",
    "def area(x):\n    match x:\n        case [a, b]:\n            {0} = {0} + 1\n            return {0}\n",
    "def area(x):\n    match x:\n        case [a, *b]:\n            {0} = {0} * 2\n            return {0}\n",
    "def area(x):\n    match x:\n        case {{1: a, **b}}:\n            {0} += 1\n            return {0}\n",
    "def area():\n    def a():\n        pass\n    def b():\n        pass\n    {0} = {0}()\n    return {0}\n",
]


@pytest.mark.parametrize("form", SWAPPED)
def test_a_name_that_a_function_binds_otherwise_is_not_a_number(form):
    assert text(form.format("a", "b")) != text(form.format("b", "a"))


def test_a_local_of_an_inner_function_does_not_hide_what_the_outer_one_reads():
    inner = "    def inner():\n        LIMIT = 2\n        return LIMIT\n    return inner() + LIMIT\n"
    assert ("LIMIT",) in Module("LIMIT = 1\ndef area():\n" + inner).names["area"].written


def test_what_a_session_puts_among_the_builtins_changes_nothing():
    """Interactive sessions, and doctest, keep the last value there as `_`, and functions of their own."""
    source = "def area(x):\n    for _, display in x:\n        pass\n    return [0 for _ in x]\n"
    program = "import builtins; builtins._ = print; builtins.display = lambda: None\n"
    program += "from rs.provenance.plain_syntax import Module\n"
    program += f"print(Module({source!r}).names['area'].text)"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == text(source)
