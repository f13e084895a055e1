"""What shares axes, and what colours and styles mean, is what the study says; no two lines look the same."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from rs.report.panel_parts import FigureSettings, Group
from rs.report.panels import ESTIMATE, Panel, attacked_panels, certified_panels

pytestmark = pytest.mark.slow


def rows(label: str, smoothing: str = "gaussian σ = 0.5", **more: Any) -> list[dict[str, Any]]:
    head = {"run": f"id-{label}", "label": label, "smoothing": smoothing, "norm": 2.0}
    head |= {"smoothing_name": smoothing.partition(" ")[0]}
    return [{**head, "certificate": "cohen", "rigorous": True, "radius": r, **more} for r in (0.0, 1.0)]


def table(labels: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The table `runs`."""
    return pd.DataFrame(
        [{"run": f"id-{label}", "label": label, **settings} for label, settings in labels.items()]
    )


def looks(panel: Panel) -> list[tuple[Any, ...]]:
    return [(x.drawn["color"], x.drawn["marker"], x.drawn.get("linestyle")) for x in panel.lines]


SIGMAS = (0.25, 0.5, 1.0)
SWEPT = [f"{run}[sigma={s}]" for run in ("stability", "gaussian") for s in SIGMAS]


def figure_1() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two sweeps over sigma under two certificates, as in STN's Figure 1."""
    points = [
        row
        for label in SWEPT
        for certificate, proven in (("renyi_sound", True), ("renyi", False))
        for row in rows(
            label, f"gaussian σ = {label[-5:-1].strip('=')}", certificate=certificate, rigorous=proven
        )
    ]
    settings = {
        label: {"objective": "x", "noise.sigma": float(label.partition("=")[2][:-1])} for label in SWEPT
    }
    return pd.DataFrame(points), table(settings)


def test_a_line_per_sigma_on_one_axes() -> None:
    frame, runs = figure_1()
    settings = FigureSettings(panels=("certificate",), colour=("noise.sigma",), style=("run",))
    panels = certified_panels(frame, runs, settings)
    assert [panel.title for panel in panels] == ["renyi", "renyi_sound"]
    estimate, proven = panels
    assert [line.name for line in proven.lines] == SWEPT
    assert len(set(looks(proven))) == 6
    of_sigma = [line.drawn["color"] for line in proven.lines]
    assert of_sigma[:3] == of_sigma[3:]
    assert len(set(of_sigma)) == 3
    markers = [line.drawn["marker"] for line in proven.lines]
    assert [len(set(markers[:3])), len(set(markers[3:])), len(set(markers))] == [1, 1, 2]
    assert {line.drawn["linestyle"] for line in proven.lines} == {"-"}
    assert {line.drawn["linestyle"] for line in estimate.lines} == {ESTIMATE}
    assert list(proven.legend) == ["σ = 0.25", "σ = 0.5", "σ = 1", "stability", "gaussian"]
    assert "estimate, not a proof" in estimate.legend


def test_lines_that_colour_and_style_leave_alike_get_styles_of_their_own() -> None:
    frame, runs = figure_1()
    (panel,) = certified_panels(frame, runs, FigureSettings(panels=(), colour=("noise.sigma",)))
    assert len(panel.lines) == 12
    assert len(set(looks(panel))) == 12
    (panel,) = certified_panels(frame, runs, FigureSettings(panels=(), style=("run",)))
    assert len({look[1:] for look in looks(panel)}) == 12  # one colour, so markers and dashes do it all


def test_more_values_than_colours_are_still_told_apart() -> None:
    labels = [f"macer[k={k}]" for k in range(14)]
    frame = pd.DataFrame([row for label in labels for row in rows(label)])
    runs = table({label: {"objective.k": i} for i, label in enumerate(labels)})
    (panel,) = certified_panels(frame, runs, FigureSettings(colour=("objective.k",)))
    assert len(set(looks(panel))) == 14
    assert list(panel.legend) == [f"k = {i}" for i in range(14)]
    assert panel.legend["k = 13"]["marker"] == panel.lines[13].drawn["marker"]


def test_two_noises_on_one_axes() -> None:
    points = []
    for label in ("gaussian-0.25", "gaussian-0.5"):
        points += rows(label, "gaussian σ = 0.25", certificate="cohen_linf")
        points += rows(label, "mixed_norm σ = 0.25, k = 250", certificate="dual")
    runs = table({"gaussian-0.25": {"noise.sigma": 0.25}, "gaussian-0.5": {"noise.sigma": 0.5}})
    settings = FigureSettings(panels=("noise.sigma",), colour=("smoothing_name",), style=("certificate",))
    panels = certified_panels(pd.DataFrame(points), runs, settings)
    assert [panel.title for panel in panels] == ["σ = 0.25", "σ = 0.5"]
    assert [len(panel.lines) for panel in panels] == [2, 2]
    assert looks(panels[0]) == looks(panels[1])
    assert [line.name for line in panels[0].lines] == [
        "gaussian-0.25, gaussian σ = 0.25, cohen_linf",
        "gaussian-0.25, mixed_norm σ = 0.25, k = 250, dual",
    ]


def attacks(label: str, smoothing: str = "gaussian σ = 0.1", attack: str = "pgd_l2") -> list[dict[str, Any]]:
    return rows(label, smoothing, attack=attack, access="white-box", panel=attack, accuracy=0.5)


def figure_4() -> tuple[pd.DataFrame, pd.DataFrame]:
    points, settings = [], {}
    for gamma in (0.25, 1.5):
        for run in ("nal", "nal-elu", "wrm"):
            points += attacks(f"{run}[gamma={gamma}]")
            settings[f"{run}[gamma={gamma}]"] = {"objective": run[:3], "objective.gamma": gamma}
    points += attacks("wrm[gamma=0.25]", "none") + attacks("stability")
    return pd.DataFrame(points), table({**settings, "stability": {"objective": "stability"}})


def test_a_panel_per_gamma_with_wrm_apart() -> None:
    frame, runs = figure_4()
    apart = Group(("nal-elu", "wrm"), "NAL and WRM", ("objective.gamma",), ("run", "smoothing_name"))
    each = [
        Group((f"nal[gamma={g}]", "stability"), f"γ = {g}", ("objective",), ())  # stability is in both
        for g in (0.25, 1.5)
    ]
    panels = attacked_panels(frame, runs, FigureSettings(groups=(apart, *each)))
    assert [panel.title for panel in panels] == ["NAL and WRM, pgd_l2", "γ = 0.25, pgd_l2", "γ = 1.5, pgd_l2"]
    assert [len(panel.lines) for panel in panels] == [5, 2, 2]
    assert panels[0].meaning != panels[1].meaning == panels[2].meaning
    assert list(panels[0].legend)[:2] == ["γ = 0.25", "γ = 1.5"]
    assert len(set(looks(panels[0]))) == 5
    assert {look[2] for look in looks(panels[0])} == {"-", "--", ":"}  # under attack a style is a dash


def test_what_no_group_names_is_drawn_too() -> None:
    frame, runs = figure_4()
    panels = attacked_panels(frame, runs, FigureSettings(groups=(Group(("nal",), "ours"),)))
    assert [panel.title for panel in panels] == ["ours, pgd_l2", "pgd_l2"]
    drawn = {line.name.partition(",")[0] for panel in panels for line in panel.lines}
    assert drawn == set(frame["label"])
    only = certified_panels(
        frame[frame["label"] == "stability"], runs, FigureSettings(groups=(Group(("nal",)),))
    )
    assert [line.name for panel in only for line in panel.lines] == ["stability"]


def test_a_setting_that_a_run_has_not_is_said() -> None:
    frame, runs = figure_4()
    settings = FigureSettings(panels=("objective.gamma",), colour=("objective",))
    panels = certified_panels(frame.drop(columns="attack"), runs, settings)
    assert [panel.title for panel in panels] == ["γ = 0.25", "γ = 1.5", "no γ"]


def test_several_proven_certificates_are_solid_and_differ_in_width() -> None:
    kinds = (("a", True), ("b", True), ("c", True), ("d", False))
    points = [row for c, p in kinds for x in ("one", "two") for row in rows(x, certificate=c, rigorous=p)]
    (panel,) = certified_panels(pd.DataFrame(points), pd.DataFrame())
    proven = [line for line in panel.lines if line.rows["rigorous"].all()]
    assert {line.drawn["linestyle"] for line in proven} == {"-"}
    assert len({line.drawn["linewidth"] for line in proven}) == 3
    assert [line.drawn["linestyle"] for line in panel.lines if line not in proven] == [ESTIMATE] * 2


def test_settings_of_figures_are_read_from_the_study(tiny: dict[str, Any], plan_of: Any) -> None:
    tiny["report"] |= {
        "panels": [],
        "colour": ["noise.sigma"],
        "groups": [{"runs": ["gaussian"], "style": ["run"]}],
    }
    settings = FigureSettings.of(plan_of(tiny).study.report)
    assert settings == FigureSettings((), ("noise.sigma",), (), (Group(("gaussian",), "", None, ("run",)),))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"panels": ["runs"]}, "report.panels[0]: 'runs' (did you mean run?); allowed: access, attack"),
        (
            {"colour": ["objective.gama"]},
            "report.colour[0]: 'objective.gama' (did you mean objective.gamma?)",
        ),
        ({"style": ["model.activation"]}, "report.style[0]: 'model.activation' is a setting of no run"),
        (
            {"groups": [{"runs": ["gausian"]}]},
            "report.groups[0].runs[0]: no run or log is labelled 'gausian'",
        ),
        ({"groups": [{"title": "x"}]}, "report.groups[0].runs: lacks this key"),
        ({"groups": [{"runs": []}]}, "report.groups[0].runs: []: must be a list of at least 1"),
        ({"colours": ["run"]}, "report.colours: unknown key (did you mean colour?)"),
        ({"groups": [{"runs": ["gaussian"], "colour": ["objective.k"]}]}, "report.groups[0].colour[0]: "),
    ],
)
def test_what_a_study_may_not_say_of_its_figures(
    settings: dict[str, Any], problem: str, tiny: dict[str, Any], refusal: Any
) -> None:
    tiny["report"] |= settings
    assert problem in refusal(tiny)


def test_what_figures_mean_changes_no_run_no_job_and_no_table(tiny: dict[str, Any], plan_of: Any) -> None:
    before = plan_of(tiny)
    tiny["report"] |= {"panels": ["run"], "colour": ["noise.sigma"], "style": ["certificate"]}
    tiny["report"]["groups"] = [{"title": "ours", "runs": ["gaussian"]}]
    after = plan_of(tiny)
    assert [run.id for run in after.runs] == [run.id for run in before.runs]
    jobs = [
        [(job.stage, job.outputs, job.spec, after.lineage(job)) for job in p.all_jobs()]
        for p in (before, after)
    ]
    assert jobs[0] == jobs[1]
    assert (after.summary, after.tables_lineage) == (before.summary, before.tables_lineage)
    assert after.described != before.described  # the page alone is made again


def test_the_norm_of_the_first_run_stands_first() -> None:
    """Norms in the order of the study, noises of a norm in their own."""
    of_norms = [
        ("a", "gaussian σ = 0.5", 2.0),
        ("b", "laplace scale = 0.1", 1.0),
        ("c", "gaussian σ = 0.25", 2.0),
    ]
    frame = pd.DataFrame([row for x, noise, norm in of_norms for row in rows(x, noise, norm=norm)])
    runs = table({label: {} for label, _, _ in of_norms})
    panels = certified_panels(frame, runs, FigureSettings())
    assert [panel.title for panel in panels] == [
        "gaussian σ = 0.25",
        "gaussian σ = 0.5",
        "laplace scale = 0.1",
    ]
    turned = frame.iloc[[2, 3, 0, 1, 4, 5]]
    assert [panel.norm for panel in certified_panels(turned, runs, FigureSettings())] == [1.0, 2.0, 2.0]
