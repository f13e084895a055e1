"""Rows behind an address: what they share once, what differs in columns, and nothing lost."""

from __future__ import annotations

from typing import Any

from rs.cli.why_rows import WIDTH, places_text, rows_text

IDS = {f"mnist-clean-seed{seed}-1a2b": seed for seed in (3, 4)}


def _row(run: str, smoothing: str, accuracy: float, **more: Any) -> dict[str, Any]:
    own = {"smoothing": smoothing, "smoothing_name": smoothing, "smoothing_level": float("nan")}
    return {"run": run, "label": "clean", **own, "attack": "pgd_l2", "accuracy": accuracy, **more}


def test_what_rows_share_is_said_once_and_what_differs_stands_in_columns() -> None:
    one, other = IDS
    found = [
        ("accuracies", 7, _row(one, "none", 0.799)),
        ("accuracies", 12, _row(other, "none", 0.8312345678)),
    ]
    assert list(rows_text(found, IDS)) == [
        "rows of accuracies, each with label clean, smoothing none, attack pgd_l2",
        "   row  seed  accuracy",
        "   [7]     3     0.799",
        "  [12]     4  0.831235",
    ]


def test_a_column_that_some_rows_lack_differs() -> None:
    one, other = IDS
    rows = [_row(one, "none", 0.5, excess=None), _row(other, "gaussian sigma=0.1", 0.5, excess=0.25)]
    _, head, first, second = rows_text([("a", i, row) for i, row in enumerate(rows)], IDS)
    assert head.split() == ["row", "seed", "smoothing", "excess"]
    assert first.split() == ["[0]", "3", "none"]
    assert second.split() == ["[1]", "4", "gaussian", "sigma=0.1", "0.25"]


def test_tables_and_the_runs_of_others_keep_their_names() -> None:
    found = [("a", 1, {"run": "log-5f", "acr": 0.5}), ("b", 2, {"label": "x", "mean": 1.0})]
    assert list(rows_text(found, IDS)) == ["row a[1]: run log-5f, acr 0.5", "row b[2]: label x, mean 1"]


def test_a_long_row_breaks_between_its_values_and_is_whole() -> None:
    row = {f"training.setting{i}": f"value {i}" for i in range(40)}
    lines = list(rows_text([("runs", 0, row)], {}))
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines)
    facts = ", ".join(f"{key} {value}" for key, value in row.items())
    assert " ".join(line.strip() for line in lines) == f"row runs[0]: {facts}"
    assert all(line.startswith("  training.") for line in lines[1:])


def test_places_name_each_table_once() -> None:
    assert places_text("a[3], a[14], b[1]") == "a[3, 14] and b[1]"
