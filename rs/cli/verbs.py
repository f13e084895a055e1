"""The verbs for people, which `rs --help` lists first. A verb's module is imported when it acts."""

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

    `arguments` ("module:function") adds its own to the parser: those of rs.cli.options need no library. If
    `explained`, its help continues with the docstring of its module. A `study` verb takes --study.
    """

    name: str
    text: str
    act: str
    arguments: str | None = None
    explained: bool = False
    study: bool = False

    def add_to(self, verbs: Any, requested: str | None) -> None:
        """Adds the verb to the parser. For a verb that is not `requested`, name and text are enough:
        libraries take seconds to import.
        """
        if requested != self.name:
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
        verb.set_defaults(act=lambda args: function(self.act)(args))


def function(place: str) -> Callable[..., None]:
    """The object that "module:function" names."""
    module, _, name = place.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(module), name)
    return found


VERBS = (
    Verb(
        "list",
        "list every data set, model, objective, noise, certificate and attack that a study can name",
        "rs.cli.listing:list_methods",
        "rs.cli.options:list_options",
    ),
    Verb(
        "price",
        "estimate what a study costs before it runs: hours here and on GPUs, memory, disk",
        "rs.cli.price:run",
        "rs.cli.price:add_arguments",
        explained=True,
        study=True,
    ),
    Verb(
        "status",
        "print how many files of a study exist, are missing or are stale",
        "rs.cli.status:run",
        study=True,
    ),
    Verb(
        "accept",
        "list results of older code and what has changed in it since; with --yes, keep them",
        "rs.cli.acceptance:run",
        "rs.cli.acceptance:add_arguments",
        study=True,
    ),
    Verb(
        "show",
        "print a study's certified-accuracy table and the places of its results",
        "rs.cli.overview:show",
        study=True,
    ),
    Verb(
        "verdicts",
        "print the verdict on every printed number and claim of the papers",
        "rs.cli.verdicts:run",
        "rs.cli.options:verdicts_options",
    ),
    Verb(
        "why",
        "trace a published number, a claim or a row of a table to the files it comes from",
        "rs.cli.why:run",
        "rs.cli.options:why_options",
    ),
    Verb(
        "ui",
        "open the MLflow UI on a study's store",
        "rs.cli.tracking:ui",
        "rs.cli.options:ui_options",
        study=True,
    ),
    Verb(
        "follow",
        "log the curves of running trainings to MLflow, epoch by epoch, without touching the trainings",
        "rs.cli.tracking:follow",
        "rs.cli.options:follow_options",
        study=True,
    ),
    Verb(
        "clean",
        "list results that belong to no known study, with sizes and ages; with --delete, remove them",
        "rs.cli.cleaning:run",
        "rs.cli.cleaning:add_arguments",
    ),
    Verb(
        "slice",
        "run as many jobs of a queue of studies as fit into a number of minutes, without Snakemake",
        "rs.cli.time_slice:run",
        "rs.cli.time_slice:add_arguments",
        explained=True,
    ),
    Verb(
        "rederive",
        "compute a study's tables from kept observations, without its networks or data",
        "rs.cli.rederive:run",
        "rs.cli.options:rederive_options",
    ),
    Verb(
        "precision",
        "measure how many votes bfloat16 or int8 changes, and the effect on certified accuracy",
        "rs.cli.precision:run",
        "rs.cli.options:precision_options",
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
        "compute how many images, votes and seeds detect a difference, or which difference they detect",
        "rs.cli.power:run",
        "rs.cli.power:add_arguments",
        explained=True,
    ),
    Verb(
        "papers",
        "write a page per paper: its tables with our numbers beside them, its claims with verdicts",
        "rs.cli.papers:run",
        "rs.cli.papers:add_arguments",
    ),
    Verb(
        "board",
        "write a page that ranks studies and certification logs, with ties where images do not decide",
        "rs.cli.board:run",
        "rs.cli.board:add_arguments",
        explained=True,
    ),
    Verb(
        "audit",
        "check certification logs and tables for mistakes that their contents show",
        "rs.cli.audit:run",
        "rs.cli.audit:add_arguments",
        explained=True,
    ),
    Verb(
        "radius",
        "print the certified radius for votes that you type or pipe in",
        "rs.cli.radius:run",
        "rs.cli.radius:add_arguments",
        explained=True,
    ),
    Verb(
        "import-log",
        "read certification logs (idx label predict radius correct time): print accuracies and ACR",
        "rs.cli.logs:import_logs",
        "rs.cli.logs:add_import_arguments",
    ),
    Verb(
        "export-log",
        "write a run's certified radii as a certification log",
        "rs.cli.logs:export_log",
        "rs.cli.logs:add_export_arguments",
        study=True,
    ),
    Verb(
        "schema",
        "print the JSON schema of a study, generated from the dataclasses",
        "rs.cli.listing:write_schema",
        "rs.cli.options:schema_options",
    ),
)
