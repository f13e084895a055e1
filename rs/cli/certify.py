"""`rs certify` for people, without a study: any model (--model), or a checkpoint on a data set of rs
(--checkpoint). Without either it is the verb of the certify stage.
"""

from __future__ import annotations

import argparse

from rs.cli import certify_checkpoint, certify_model
from rs.errors import UserError
from rs.settings.certificates import CertificateUse
from rs.settings.sampling import Sampling

DATA = "with --model: a folder of images or Parquet files; with --checkpoint: a data set (rs list)"


def add_to(parser: argparse.ArgumentParser) -> None:
    """Adds both uses to the verb of the certify stage."""
    stage = parser.get_default("act")
    own_of_stage = [a for a in parser._actions if a.dest != "help"]
    model = parser.add_argument_group(
        "any image classifier on your images (docs/certify-model.md)", certify_model.EXAMPLE
    )
    certify_model.add_arguments(model)
    checkpoint = parser.add_argument_group("your weights on a data set of rs (docs/using.md)")
    certify_checkpoint.add_arguments(checkpoint)
    add_shared(parser.add_argument_group("with --model or --checkpoint"))
    only = {
        "--model": [*checkpoint._group_actions, *own_of_stage],
        "--checkpoint": [*model._group_actions, *own_of_stage],
    }

    def act(args: argparse.Namespace) -> None:
        if args.model is None and args.checkpoint is None:
            own = [a for a in parser._actions if a not in own_of_stage and a.dest != "help"]
            if any(getattr(args, a.dest) != a.default for a in own):
                raise UserError("certify: give --model SOURCE:NAME or --checkpoint FILE")
            if not args.job and not args.study:
                options = (
                    "--model SOURCE:NAME, --checkpoint FILE or --study FILE (or --job, as the workflow does)"
                )
                raise UserError(f"certify: give {options}")
            stage(args)
            return
        by_model = ("--model", certify_model.run)
        chosen, run = by_model if args.model is not None else ("--checkpoint", certify_checkpoint.run)
        for action in only[chosen]:
            if getattr(args, action.dest) != action.default:
                raise UserError(f"certify: {action.option_strings[0]} does not go with {chosen}")
        run(args)

    parser.set_defaults(act=act)


def add_shared(own: argparse._ArgumentGroup) -> None:
    """The options of both uses, as typed."""
    own.add_argument("--data", metavar="PLACE", help=DATA)
    own.add_argument("--key", metavar="KEY", help="which weights, if the file holds several: ema, ...")
    own.add_argument(
        "--allow",
        action="append",
        choices=["chance"],
        help="chance: accept a network that draws random numbers, independently for every image",
    )
    own.add_argument("--sigma", metavar="S", help="scale of the noise, for images in [0, 1]: --set sigma=S")
    own.add_argument("--noise", default="gaussian", metavar="NAME", help="default: gaussian")
    own.add_argument(
        *("--set", "-s"),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="parameter of the noise or certificate",
    )
    own.add_argument("--certificate", default="cohen", metavar="NAME", help="default: cohen")
    alpha, n0, n = f"{CertificateUse.alpha:g}", f"{Sampling.n0}", f"{Sampling.n}"
    own.add_argument("--alpha", default=alpha, metavar="A", help=f"error rate per image (default: {alpha})")
    own.add_argument("--n0", default=n0, metavar="N", help=f"selection votes per image (default: {n0})")
    own.add_argument("--n", metavar="N", help=f"estimation votes per image (default: {n})")
    own.add_argument("--images", metavar="N", help="largest number of test images (default: all)")
