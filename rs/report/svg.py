"""A figure's SVG for pages: on a dark page lines keep their colours; paper, ink and grid change."""

from __future__ import annotations

import re

from rs.report.figure_layout import CARD, EDGE, GRID, INK, QUIET, TICK

# the colours of page.css for readers who prefer dark
ON_DARK = {
    CARD: "#1b1f23",
    INK: "#e3e5e6",
    QUIET: "#979fa8",
    TICK: "#b7bdc3",
    EDGE: "#6d757d",
    GRID: "#2b3035",
}
ON_DARK["#C1272D"] = "#ff7a7f"  # wrong predictions


def dark_too(svg: str) -> str:
    """The same drawing with a style rule for each colour, for readers who prefer dark (not in print)."""
    rules = "".join(
        f'[style*="{kind}: {light.lower()}"]{{{kind}:{dark}!important}}'
        for light, dark in ON_DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    head, first, rest = svg.partition("<defs>")  # matplotlib's own style follows
    assert first
    return f"{head}{style}{first}{rest}"


def rounded(svg: str) -> str:
    """Rounds paths to a hundredth of a point, which is invisible and halves the file."""
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)
