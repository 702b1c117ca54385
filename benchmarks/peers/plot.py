"""A picture of the throughputs: one row of bars for each path, one bar for each server."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.peers.servers import LIMIT, OURS, TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_OURS, _PEERS = "#0072B2", "#999999"
_STYLE: dict[Any, Any] = {"svg.hashsalt": "windlass", "svg.fonttype": "path", "font.size": 10}
_DPI = 150


def draw(
    title: str, rates: Mapping[tuple[str, str], Sequence[float]], folder: Path, name: str
) -> str:
    """Draw requests per second; the whisker goes from the least to the greatest round.

    The limit is left out: beside it nothing else could be told apart.

    Args:
        title: of the picture.
        rates: by server and path, one for each round.
        folder: made where it is missing.
        name: of the files, NAME.svg and NAME.png.

    Returns:
        A sentence that names the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.{suffix}" for suffix in ("svg", "png")]
    names = [server for server in dict.fromkeys(server for server, _ in rates) if server != LIMIT]
    paths = list(dict.fromkeys(path for _, path in rates))
    with mpl.rc_context(_STYLE):
        height = 0.8 + len(paths) * (0.45 + 0.24 * len(names))
        figure = Figure(figsize=(8, height), layout="constrained", facecolor="white")
        for axes, path in zip(figure.subplots(len(paths), squeeze=False)[:, 0], paths, strict=True):
            _draw_path(axes, path, {each: rates[each, path] for each in names})
        figure.suptitle(title, x=0.02, ha="left")
        for file in files:
            figure.savefig(file, dpi=_DPI, metadata=_metadata(file))
    return "Drawn in " + " and ".join(map(str, files)) + "."


def _draw_path(axes: Axes, path: str, rates: Mapping[str, Sequence[float]]) -> None:
    names = list(rates)[::-1]
    middles = [median(rates[name]) for name in names]
    below = [middle - min(rates[name]) for name, middle in zip(names, middles, strict=True)]
    above = [max(rates[name]) - middle for name, middle in zip(names, middles, strict=True)]
    colors = [_OURS if name in OURS else _PEERS for name in names]
    bars = axes.barh(
        [TITLES[name] for name in names], middles, xerr=[below, above], color=colors,
        height=0.7, ecolor="#444444", capsize=2,
    )  # fmt: skip
    axes.bar_label(bars, labels=[f" {middle:,.0f}" for middle in middles], label_type="edge")
    axes.set_title(f"{path}, requests per second", loc="left", fontsize=10)
    axes.set_xlim(0, 1.15 * max(max(of) for of in rates.values()) or 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _metadata(file: Path) -> dict[str, str | None]:
    # What names the day or the version would make two equal pictures differ.
    return {"Date": None} if file.suffix == ".svg" else {"Software": None}
