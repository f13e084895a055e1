"""The effect of averaging seeds on margins under noise, and how many passes a consensus saves.

  snakemake --cores 1 --configfile config/evidence/ensemble.yaml     # trains and certifies: minutes of a core
  python benchmarks/ensembles.py                                     # a minute more

It uses the trained members of that study. The margin of a noisy image is the logit of its label less that of
the class that is second on average. Its variance over the noise and its correlation r between members are
means over images. Over all sets of k members, the variance of their mean's margin is (1 + r (k - 1)) / k of
one member's by algebra, at the same mean. So r is measured, and the effect on votes. Votes are timed in the
study's inference form, in CPU seconds of one thread: medians of interleaved rounds, as ratios to one
member's.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import rs
from rs.networks import audit, checkpoints
from rs.networks.averaged import Averaged
from rs.networks.images import load_images
from rs.networks.inference import InferenceForm, form_of
from rs.plan.plan import Plan
from rs.settings.sampling import FORM
from rs.study.study import Study

STUDY = Path("config/evidence/ensemble.yaml")
RADII = [0.0, 0.25, 0.5, 0.75, 1.0]
MEMBERS, ROUNDS, CPU = ("one", "more"), 7, torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--votes", type=int, default=1024, help="of each image, for the margins")
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(Study([STUDY]))
    members = [p for p in plan.runs if p.run.label in MEMBERS]
    networks = [checkpoints.load(p.folder / "model.json", plan.data_manifest)[0] for p in members]
    sigma = members[0].run.sections["noise"]["sigma"]
    size = plan.data_facts["x-sizes"]["test"]
    images, labels = load_images(
        plan.data_manifest, "test", list(range(0, size, size // args.images))[: args.images]
    )
    draws = torch.Generator().manual_seed(1)
    logits = torch.stack([under_noise(networks, image, sigma, args.votes, draws) for image in images])
    heading = f"{len(networks)} members, {len(images)} images, {args.votes} noisy copies of each"
    print(f"{heading}, sigma = {sigma:g}\n", flush=True)
    tell_margins(logits, labels)
    tell_passes(logits)
    tell_certified(logits, labels, sigma)
    sampling = members[0].run.sections["sampling"]
    tell_seconds(networks, plan.data_manifest, {key: sampling[key] for key in FORM}, images[0], sigma)


@torch.no_grad()
def under_noise(
    networks: list[nn.Module], image: Tensor, sigma: float, votes: int, draws: torch.Generator
) -> Tensor:
    """float32 [members, votes, classes]."""
    noisy = image + sigma * torch.randn((votes, *image.shape), generator=draws)
    return torch.stack([torch.cat([net(part) for part in noisy.split(512)]) for net in networks])


def tell_margins(logits: Tensor, labels: Tensor) -> None:
    """Prints the table of margins; `logits` [images, members, votes, classes]."""
    count, every = logits.shape[1], torch.arange(len(logits))
    right = logits[every, :, :, labels]  # [images, members, votes]
    others = logits.mean((1, 2))
    others[every, labels] = -torch.inf
    margins = (right - logits[every, :, :, others.argmax(1)]).double()
    covariance = torch.stack([torch.cov(each) for each in margins]).mean(0)
    variance = covariance.diagonal().mean()
    between = (covariance.sum() - covariance.trace()) / (count * (count - 1))
    r = float(between / variance)
    print(f"correlation of two members' margins over the noise: {r:.2f}")
    print("k    variance of the margin, of one's    votes for another class than the label")
    for k in range(1, count + 1):
        sets = [list(chosen) for chosen in itertools.combinations(range(count), k)]
        wrong = [float((logits[:, s].mean(1).argmax(2) != labels[:, None]).double().mean()) for s in sets]
        print(f"{k}    {(1 + r * (k - 1)) / k:31.3f}    {statistics.mean(wrong):38.2%}")


def tell_passes(logits: Tensor) -> None:
    """Prints how many members are asked in their order, and how often the full ensemble differs."""
    votes, count = logits.argmax(3), logits.shape[1]
    print("\nL    K    passes a vote    votes on which the first K disagree    other class than all L")
    for members in sorted({3, count}):
        every = logits[:, :members].mean(1).argmax(2)
        for first in range(1, members):
            agree = (votes[:, :first] == votes[:, :1]).all(1)
            answer = torch.where(agree, votes[:, 0], every)
            left = float((~agree).double().mean())
            differ = float((answer != every).double().mean())
            passes = first + (members - first) * left
            print(f"{members}    {first}    {passes:13.3f}    {left:35.2%}    {differ:22.3%}")


def tell_certified(logits: Tensor, labels: Tensor, sigma: float) -> None:
    """Cohen et al.'s certificate at alpha = 0.001 from these votes, a tenth of which select; differences to
    the first member, paired by image.
    """
    votes, count = logits.argmax(3), logits.shape[1]
    answers = {"one": votes[:, 0]}
    for members in sorted({3, count}):
        every = logits[:, :members].mean(1).argmax(2)
        agree = votes[:, 0] == votes[:, 1]
        answers |= {f"mean of {members}": every}
        answers |= {f"K = 2 of {members}": torch.where(agree, votes[:, 0], every)}
    certifications, few = {}, votes.shape[2] // 10
    for name, answer in answers.items():
        counts = torch.nn.functional.one_hot(answer, logits.shape[3])
        parts = counts[:, :few].sum(1).numpy(), counts[:, few:].sum(1).numpy()
        certifications[name] = rs.certify_counts(parts, alpha=0.001, sigma=sigma, labels=labels.numpy())
    print(f"\ncertified accuracy at {', '.join(map(str, RADII))}; ACR; ACR less one member's, 95 %")
    for name, certification in certifications.items():
        right = certification.prediction == certification.labels
        held = "  ".join(f"{(right & (certification.radius >= r)).mean():.2f}" for r in RADII)
        line = f"{name:<12} {held}    {(right * certification.radius).mean():.4f}"
        if name != "one":
            row = (
                rs.compare(certification, certifications["one"], radii=RADII).query("metric == 'acr'").iloc[0]
            )
            line += f"    {row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})"
        print(line)


def tell_seconds(networks: list[nn.Module], data: Path, form: dict, image: Tensor, sigma: float) -> None:
    """CPU seconds of 8 batches of votes on an image, as ratios."""
    contestants = {
        "one": networks[0],
        "mean of 3": Averaged(networks[:3]),
        "K = 2 of 3": Averaged(networks[:3], 2),
        "mean of 5": Averaged(networks[:5]),
        "K = 2 of 5": Averaged(networks[:5], 2),
    }
    probes = audit.probes(data, CPU)
    forms = {
        name: form_of(audit.Audited(net.eval(), {"classes": 10}, probes, name, False), form, CPU)
        for name, net in contestants.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, each in forms.items():
            taken[name].append(seconds(each, image, sigma))
    one = statistics.median(taken["one"])
    print(f"\nform {form}: one member {8 * form['batch'] / one:,.0f} votes/s of a core")
    for name, times in taken.items():
        print(f"{name:<12} {statistics.median(a / b for a, b in zip(times, taken['one'], strict=True)):.2f}")


def seconds(form: InferenceForm, image: Tensor, sigma: float) -> float:
    draws, started = torch.Generator().manual_seed(2), time.process_time()
    form.vote(
        image, 8 * form.batch, lambda rows: torch.randn((rows, *image.shape), generator=draws).mul_(sigma)
    )
    return time.process_time() - started


if __name__ == "__main__":
    main()
