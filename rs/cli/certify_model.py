"""`rs certify --model`: any image classifier on a folder of images, without a study."""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rs.cli.certify_checkpoint import alpha, methods, radii_up_to, whole
from rs.cli.text_table import aligned
from rs.errors import UserError
from rs.plan.jobs import RESULTS, slug
from rs.provenance.digests import digest
from rs.provenance.files import versions
from rs.provenance.reading import as_number

if TYPE_CHECKING:
    from rs.foreign.certifying import Settings
    from rs.foreign.preprocessing import Stated
    from rs.foreign.result import Result

PAGE, IMAGES, VOTES = "report.html", "images.parquet", "votes"
EXAMPLE = "rs certify --model torchvision:resnet50 --data photos/ --sigma 0.25 --budget 10min"
BUDGET = {"s": 1, "min": 60, "h": 3600}


def add_arguments(own: argparse._ArgumentGroup) -> None:
    """The options that only belong to --model."""
    named = "torchvision:NAME, timm:NAME.TAG, hf:OWNER/NAME, onnx:FILE, entry:MODULE:FUNCTION"
    own.add_argument("--model", metavar="SOURCE:NAME", help=named)
    own.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights to load, instead of the library's own"
    )
    own.add_argument("--download", action="store_true", help="fetch weights that are not in the cache")
    own.add_argument(
        "--budget", metavar="TIME", help="time for votes (90s, 10min, 2h), from which n and images are chosen"
    )
    own.add_argument("--split", metavar="NAME", help="which split, if --data has several: test")
    own.add_argument(
        "--unlabelled", action="store_true", help="ignore labels: certify predictions, correct or not"
    )
    own.add_argument("--out", type=Path, metavar="FOLDER", help="default: results/certify-...")
    own.add_argument("--seed", default="0", metavar="N", help="seed of the noise (default: 0)")
    own.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda (default: auto)")
    help_text = "float32 or bfloat16 (default: float32)"
    own.add_argument("--precision", default="float32", metavar="NAME", help=help_text)
    own.add_argument("--batch", metavar="N", help="noisy images per forward pass (default: from their size)")
    own.add_argument(
        "--size", metavar="HxW", help="input size, in place of what the model's description says"
    )
    own.add_argument("--resize", metavar="N", help="resize the shorter side to N, before the crop to --size")
    own.add_argument(
        "--interpolation", metavar="NAME", help="of resizing: nearest, bilinear, bicubic, lanczos, ..."
    )
    own.add_argument("--channels", metavar="N", help="input channels: 1 or 3")
    own.add_argument(
        "--range", metavar="LOW,HIGH", help="values of the network's input: --range=-1,1 or 0,255"
    )
    own.add_argument("--mean", metavar="M,M,M", help="mean to subtract, after --range")
    own.add_argument("--std", metavar="S,S,S", help="standard deviation to divide by, after --range")


def run(args: argparse.Namespace) -> None:
    """Certifies, and prints a table and the places of images and page."""
    from rs.foreign.certifying import certify
    from rs.report.model import write_model_page

    settings = settings_of(args)
    check_out(settings, args.out is not None)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's end acts as Ctrl-C
    try:
        result = certify(
            settings, lambda fact, value: print(f"{fact:<18}{value}", file=sys.stderr, flush=True)
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    radii = radii_up_to(result.cap)
    software = (
        f"rs {versions()['rs']}, torch {versions()['torch']}. {result.model.provenance.get('library', '')}"
    )
    write_model_page(settings.out / PAGE, result.page(radii, software))
    print(text(result, settings, radii))


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings of the options. Raises UserError for the first invalid one."""
    from rs.foreign import sources
    from rs.foreign.certifying import Settings

    if not args.data:
        raise UserError("certify: --model needs --data, a folder of images or Parquet files")
    noise, certificate = methods(args)
    numbers = {k: None if (v := getattr(args, k)) is None else whole(f"--{k}", v) for k in WHOLE}
    settings = Settings(
        sources.request_of(args.model, args.weights, args.key, args.download),
        stated(args),
        Path(args.data),
        args.out or Path(),
        noise,
        certificate,
        alpha(args.alpha),
        n0=whole("--n0", args.n0),
        budget=None if args.budget is None else seconds(args.budget),
        split=args.split,
        labelled=not args.unlabelled,
        seed=whole("--seed", args.seed, least=0, most=MOST_SEED),
        device=args.device,
        precision=args.precision,
        allow=tuple(args.allow or ()),
        **numbers,
    )
    if settings.budget is not None and settings.n is not None and settings.images is not None:
        raise UserError("certify: --budget chooses n and images; leave out --n or --images")
    return settings if args.out else replaced(settings)


def check_out(settings: Settings, is_stated: bool) -> None:
    """Raises UserError for a folder with other content, or one among the images."""
    from rs.foreign.votes import IDENTITY

    out, data = settings.out.resolve(), settings.data.resolve()
    if is_stated and (out == data or data in out.parents):
        raise UserError(
            f"certify: --out {settings.out}: lies in --data {settings.data}; choose another folder"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"certify: --out {settings.out}: must be a folder, not a file")
    if out.exists() and any(out.iterdir()) and not (out / IDENTITY).is_file():
        problem = "holds files that are not of a certification; choose an empty or a new folder"
        raise UserError(f"certify: --out {settings.out}: {problem}")


MOST_SEED = 2**53  # as in a study (rs.settings.limits.Seed)
WHOLE = ("n", "images", "batch")


def replaced(settings: Settings) -> Settings:
    """The settings with an output folder for this model, data, noise and form."""
    from dataclasses import replace

    from rs.api.inputs import chosen_device
    from rs.machine.devices import device_class

    model, device = settings.model, chosen_device(settings.device, "certify")
    weights = model.weights and model.weights.resolve()  # not --download: the call without it continues
    identity = [
        str(v)
        for v in (model.title, weights, model.key, settings.stated, settings.data.resolve(), settings.split)
    ]
    identity += [
        str(v)
        for v in (settings.noise, settings.seed, device_class(device), settings.precision, settings.batch)
    ]
    return replace(settings, out=RESULTS / f"{slug('certify', settings.model.name)}-{digest(identity)}")


def stated(args: argparse.Namespace) -> Stated:
    from rs.foreign.preprocessing import Stated

    low_high = numbers("--range", args.range)
    if low_high is not None and len(low_high) != 2:
        raise UserError(f"certify: --range {args.range}: must be LOW,HIGH, as --range=-1,1")
    if args.channels not in (None, "1", "3"):
        raise UserError(f"certify: --channels {args.channels}: must be 1 or 3")
    return Stated(
        size=None if args.size is None else size(args.size),
        resize=None if args.resize is None else whole("--resize", args.resize, most=99_999),
        interpolation=args.interpolation,
        mean=numbers("--mean", args.mean),
        std=numbers("--std", args.std),
        value_range=None if low_high is None else (low_high[0], low_high[1]),
        channels=None if args.channels is None else int(args.channels),
    )


def size(text: str) -> tuple[int, int]:
    """(height, width) of a text such as `224` or `192x256`."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?", text)
    if not match:
        raise UserError(f"certify: --size {text}: must be HxW or one number, as 224 or 192x256")
    return int(match[1]), int(match[2] or match[1])


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    typed = tuple(map(as_number, text.split(",")))
    if not all(map(math.isfinite, typed)):
        as_ = "-1,1" if option == "--range" else "0.5,0.5,0.5"
        raise UserError(f"certify: {option} {text}: must be numbers with commas, as {as_}")
    return typed


def seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?) *(s|min|h)", text)
    if not match or float(match[1]) == 0:
        raise UserError(f"certify: --budget {text}: must be a time, as 90s, 10min or 2h; at most 999999h")
    return float(match[1]) * BUDGET[match[2]]


# --- the text at the end ---


def text(result: Result, settings: Settings, radii: Sequence[float]) -> str:
    """Shares at radii up to the cap, rounded down, with intervals rounded outwards; places of the files."""
    from rs.report.html_table import down, up

    frame = result.accuracy(radii)
    head = ["r", *(f"{r:g}" for r in frame["radius"])]
    shares = [result.measure, *map(down, frame["share"])]
    spans = ["95 %", *(f"{down(a)}-{up(b)}" for a, b in zip(frame["low"], frame["high"], strict=True))]
    lie = (f"{name:<9}{place}" for name, place in places(settings).items())
    return "\n".join([*aligned([head, shares, spans]), *result.notes(), *lie])


def places(settings: Settings) -> dict[str, Any]:
    return {
        name: settings.out / file for name, file in (("page", PAGE), ("images", IMAGES), ("votes", VOTES))
    }
