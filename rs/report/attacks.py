"""The sections of a study's page on attacks: accuracy under attack, and checks of the attacks themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rs.report.certified import once, wide
from rs.report.html_table import DASH, Cell, Section, Table, constants, down, number, text_cell
from rs.report.names import norm_name, read
from rs.report.summary import best
from rs.report.verdict_words import counted
from rs.tables.attack_checks import NOT_CHECKED

_SHARES = {
    "none": "every radius attacked anew",
    "kept": "images broken at a smaller radius count as broken at larger ones, and are not attacked again",
    "minimal": "one smallest distortion per image serves all radii",
}
_QUESTIONS = {
    "radius": "accuracy does not rise with the radius",
    "more steps": "twice the steps do not help the defender",
    "more samples": "twice the noise samples do not help the defender",
    "unbounded": "without a bound, accuracy falls to chance",
    "weaker access: transfer": "white-box is at least as strong as transfer",
    "weaker access: gradient-free": "white-box is at least as strong as gradient-free",
    "certificate": "certified predictions stay within their radius",
}


def judge_name(judge: Any) -> str:
    if str(judge) == "base":
        return "the base classifier without noise"
    return f"the majority of {int(judge):,} fresh votes"


def attacks_section(tables: Path, seeds: Mapping[str, Any]) -> Section:
    section = Section("attacks", "Accuracy under attack", empty="No attack was run in this study.")
    frame = read(tables, "empirical_accuracy")
    if frame.empty:
        return section
    section.lead = (
        "Share of test images that are still classified correctly after an attack within that radius, with "
        "its 95 % Wilson interval. Attacks bound robust accuracy from above; certified accuracy bounds it "
        "from below."
    )
    leaders = {(b.by, b.smoothing, b.radius, b.label) for b in best(tables, "empirical_accuracy")}
    if leaders:
        section.lead += (
            " Bold: more accurate than every other run under the same noise and attack, image by image, "
            "beyond the noise of the test images."
        )
    frame = frame.astype({"samples": "Int64"}).assign(
        judge=frame["judge"].map(judge_name),
        shares=frame["shares"].map(_SHARES),
        excess=frame["excess"].map(lambda e: None if pd.isna(e) else float(down(e))),
    )
    words = {"images": "{} test images", "samples": "{} noise samples per step (EOT)", "access": "{}"}
    words |= {"judge": "judged by {}", "shares": "{}"}
    words |= {"excess": "minimal attacks end at least {} beyond the decision boundary, on average"}
    for norm, part in frame.groupby("norm", sort=False):
        note, extra = constants(part, words)
        texts = [c for c in ("access", "judge", "shares") if c in extra]
        shared, keys = once(part, ["run", "label", "smoothing", "attack", *texts])
        radii = sorted(map(float, part.radius.unique()))
        table = wide(part, keys, "accuracy", radii, [c for c in extra if c not in texts], seeds, leaders)
        table.title, table.note = f"{norm_name(norm)} radius{shared}", note
        section.tables.append(table)
    return section


def checks_section(tables: Path, seeds: Mapping[str, Any]) -> Section:
    """Rows of ``attack_checks``: first those that fail, then those that could not be made, then the others.
    The table is folded to one line where none fails.
    """
    section = Section("checks", "Checks of the attacks")
    frame = read(tables, "attack_checks")
    if frame.empty:
        return section
    section.lead = (
        "Conditions that hold if the attacks are strong and the certificates right, tested image by image. A "
        "check fails if chance explains the difference with probability below 0.001. For certificates, "
        "“images” counts those attacked within their certified radius; “measured”, those whose prediction "
        "the judge's votes surely saw change; “at most”, how many may change at this α, of all that were "
        "attacked and asked for a certificate. Small print: all changes, near ties included."
    )
    heads = [("label", "text"), ("smoothing noise", "text")] + [("seed", "number")] * bool(seeds)
    heads += [("check", "text"), ("attack", "text"), ("against", "text"), ("radius", "number")]
    heads += [("images", "number"), ("measured", "number"), ("at most", "number"), ("p", "number")]
    table = Table([*heads, ("verdict", "text")], [])
    ranks = {"fails": 0, NOT_CHECKED: 1}
    order = frame.assign(rank=frame["verdict"].map(ranks).fillna(2)).sort_values("rank", kind="stable")
    for row in order.to_dict("records"):
        cells = [text_cell(row["label"]), text_cell(row["smoothing"])]
        cells += [text_cell(seeds.get(str(row["run"])))] * bool(seeds)
        cells += [text_cell(_QUESTIONS.get(row["check"], row["check"]), "text words")]
        cells += [text_cell(row["attack"], "text words")]
        cells += [text_cell(row["against"], "text words"), number(row["radius"]), number(int(row["images"]))]
        cells += [*_values(row), number(row["p"])]
        kind = f"text verdict {row['verdict'].split()[0]}"
        table.rows.append([*cells, text_cell(row["verdict"], kind)])
    failed, unmade = (int((frame["verdict"] == verdict).sum()) for verdict in ("fails", NOT_CHECKED))
    checked = len(frame) - unmade
    sentences = [counted({"holds": checked - failed, "fails": failed}, "checks")] if checked else []
    sentences += [f"{unmade} could not be made."] if unmade else []
    table.summary, table.opened = " ".join(sentences), failed > 0
    table.note = "Each row shows its worst radius."
    if unmade:
        table.note += " A check could not be made where the attack to compare with is missing."
    section.tables.append(table)
    return section


def _values(row: Mapping[Any, Any]) -> list[Cell]:
    """Accuracies, or numbers of images; dashes where nothing was compared."""
    if row["verdict"] == NOT_CHECKED:
        return [Cell(DASH), Cell(DASH)]
    if row["check"] == "certificate":
        changed, surely = row["changed"], int(row["measured"])
        under = "" if pd.isna(changed) else f"{int(changed)} changed at all"
        return [Cell(f"{surely}", surely, under=under), number(int(row["reference"]))]
    return [Cell(down(row[c]), float(row[c])) for c in ("measured", "reference")]
