"""The verbs for people, which `rs --help` lists first. A verb's module is imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rs.cli.plans import add_study

AS_WRITTEN = argparse.RawDescriptionHelpFormatter


@dataclass(frozen=True)
class Verb:
    """A verb for people: `act` is "module:function", called with the parsed arguments.

    `arguments` ("module:function") adds its own to the parser. If `explained`, its help continues with the
    docstring of its module. A `study` verb takes --study.
    """

    name: str
    text: str
    act: str
    arguments: str | None = None
    explained: bool = False
    study: bool = False

    def add_to(self, verbs: Any, asked: str | None) -> None:
        """Adds the verb to the parser. For a verb that is not `asked` for, name and text are enough:
        libraries take seconds to import.
        """
        if asked != self.name:
            verbs.add_parser(self.name, description=self.text)
            return
        if self.explained:
            whole = f"{self.text}\n\n{importlib.import_module(self.act.partition(':')[0]).__doc__}"
            verb = verbs.add_parser(self.name, description=whole, formatter_class=AS_WRITTEN)
        else:
            verb = verbs.add_parser(self.name, description=self.text)
        if self.study:
            add_study(verb)
        if self.arguments is not None:
            function(self.arguments)(verb)
        verb.set_defaults(act=function(self.act))


def function(place: str) -> Callable[..., None]:
    """The object that "module:function" names."""
    module, _, name = place.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(module), name)
    return found


VERBS = (
    Verb(
        "list",
        "every data set, model, objective, noise, certificate and attack",
        "rs.cli.small_verbs:list_methods",
        "rs.cli.small_verbs:list_arguments",
    ),
    Verb(
        "price",
        "what a study costs before it runs: hours here and on GPUs, memory, disk",
        "rs.cli.price:run",
        "rs.cli.price:add_arguments",
        explained=True,
        study=True,
    ),
    Verb("status", "what a study has, lacks and holds stale", "rs.cli.small_verbs:status", study=True),
    Verb(
        "accept",
        "take over results of an older version, after a look at what differs in its code",
        "rs.cli.acceptance:run",
        "rs.cli.acceptance:add_arguments",
        study=True,
    ),
    Verb(
        "show",
        "print a study's certified-accuracy table and where its results lie",
        "rs.cli.small_verbs:show",
        study=True,
    ),
    Verb(
        "verdicts",
        "what became of every printed number and claim of the papers",
        "rs.cli.verdicts:run",
        "rs.cli.small_verbs:verdicts_arguments",
    ),
    Verb(
        "why",
        "where a number, a claim or a table's row comes from",
        "rs.cli.small_verbs:why",
        "rs.cli.small_verbs:why_arguments",
    ),
    Verb(
        "ui",
        "open the MLflow UI on a study's store",
        "rs.cli.small_verbs:ui",
        "rs.cli.small_verbs:ui_arguments",
        study=True,
    ),
    Verb(
        "follow",
        "log to MLflow, epoch by epoch, the curves of trainings that are under way; it only reads",
        "rs.cli.small_verbs:follow",
        "rs.cli.small_verbs:follow_arguments",
        study=True,
    ),
    Verb(
        "clean",
        "list results that no known study names, with sizes and ages",
        "rs.cli.cleaning:run",
        "rs.cli.cleaning:add_arguments",
    ),
    Verb(
        "slice",
        "as many jobs of a queue of studies as fit into some minutes, without Snakemake",
        "rs.cli.time_slice:run",
        "rs.cli.time_slice:add_arguments",
        explained=True,
    ),
    Verb(
        "rederive",
        "a study's tables from kept observations, without its networks or data",
        "rs.cli.small_verbs:rederive",
        "rs.cli.small_verbs:rederive_arguments",
    ),
    Verb(
        "precision",
        "how many votes bfloat16 or int8 changes, and what that does to certified accuracy",
        "rs.cli.precision:run",
        "rs.cli.small_verbs:precision_arguments",
        study=True,
    ),
    Verb(
        "compare",
        "compare runs and certification logs image by image: differences, intervals, verdicts",
        "rs.cli.compare:run",
        "rs.cli.compare:add_arguments",
        explained=True,
    ),
    Verb(
        "power",
        "how many images, votes and seeds tell a difference, or which difference they show",
        "rs.cli.power:run",
        "rs.cli.power:add_arguments",
        explained=True,
    ),
    Verb(
        "papers",
        "a page per paper: its tables with our numbers beside theirs, its claims with verdicts, "
        "in results/papers",
        "rs.cli.papers:run",
        "rs.cli.papers:add_arguments",
    ),
    Verb(
        "board",
        "studies and certification logs on one page, ranked as far as their images tell",
        "rs.cli.board:run",
        "rs.cli.board:add_arguments",
        explained=True,
    ),
    Verb(
        "audit",
        "what can be seen of certification logs and tables from outside, and what cannot",
        "rs.cli.audit:run",
        "rs.cli.audit:add_arguments",
        explained=True,
    ),
    Verb(
        "radius",
        "the certified radius for votes that you type or pipe in",
        "rs.cli.radius:run",
        "rs.cli.radius:add_arguments",
        explained=True,
    ),
    Verb(
        "import-log",
        "read certification logs (idx label predict radius correct time): accuracies, ACR, a table",
        "rs.cli.logs:import_logs",
        "rs.cli.logs:add_import_arguments",
    ),
    Verb(
        "export-log",
        "write a run's certified radii as a certification log",
        "rs.cli.small_verbs:export_log",
        "rs.cli.logs:add_export_arguments",
        study=True,
    ),
    Verb(
        "schema",
        "the JSON schema of a study, generated from the dataclasses",
        "rs.cli.small_verbs:write_schema",
        "rs.cli.small_verbs:schema_arguments",
    ),
)
