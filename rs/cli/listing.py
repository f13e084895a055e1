"""`rs list` and `rs schema`: what a study can name, for people and for editors."""

from __future__ import annotations

import argparse
import json

from rs.methods import catalog
from rs.provenance.files import write_text
from rs.study import schema as study_schema


def list_methods(args: argparse.Namespace) -> None:
    """Prints every method with its source and its parameters."""
    methods = catalog.listing()
    if args.json:
        print(json.dumps(methods, indent=1))
        return
    for kind, entries in methods.items():
        print(f"\n{kind}")
        for entry in entries:
            print(f"  {entry['name']:<18} {entry['description']}\n{'':<20} {entry['source']}")
            for name, default in entry["parameters"].items():
                print(f"{'':<22} {name}: {json.dumps(default)}")


def write_schema(args: argparse.Namespace) -> None:
    """Prints the schema of a study, or writes that of all shipped methods to its file."""
    chosen = catalog.schema() if args.write else study_schema.schema()
    text = json.dumps(chosen, indent=1, sort_keys=True) + "\n"
    if args.write:
        write_text(study_schema.SCHEMA, text)
    else:
        print(text, end="")
