"""Plots: the pictures of docs/performance.md, as SVG that is the same for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = {"ours": "#1f6f8b", "bare": "#9aa5b1", "usual": "#c8553d"}


def write(found: dict[str, Any], folder: Path) -> None:
    """Write each picture into the folder."""
    with mpl.rc_context({"svg.hashsalt": "kohort_sync", "svg.fonttype": "none", "font.size": 9}):
        _save(_cpu(found["push"]["variants"]), folder / "push.svg")
        _save(_pace(found["pace"]["services"]), folder / "pace.svg")
        _save(_scale(found["scale"]["cpu"]), folder / "scale.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    # matplotlib ends lines with blanks.
    path.write_text("\n".join(map(str.rstrip, path.read_text().splitlines())) + "\n")


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def _cpu(variants: dict[str, Any]) -> Figure:
    figure, (axes,) = _figure(7, 3)
    names = list(reversed(variants))
    colours = [_COLOURS[name.split(",")[0]] for name in names]
    axes.barh(names, [variants[name]["cpu"] for name in names], color=colours)
    axes.barh(
        names,
        [variants[name]["database"] for name in names],
        left=[variants[name]["cpu"] for name in names],
        color=colours,
        alpha=0.45,
    )
    axes.set_xlabel("ms of CPU for each customer (pale: PostgreSQL)")
    return figure


def _pace(services: dict[str, Any]) -> Figure:
    figure, all_axes = _figure(11, 2.4, len(services))
    for axes, (name, one) in zip(all_axes, services.items(), strict=True):
        axes.plot(one["seconds"], color=_COLOURS["ours"], linewidth=1)
        axes.axhline(one["best"], color=_COLOURS["usual"], linewidth=1, linestyle="--")
        axes.set_title(name.replace("-with-", "\nwith "), fontsize=9)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds")
    all_axes[0].set_ylabel("accepted a second\n(dashed: best fixed)")
    return figure


def _scale(cpu: dict[str, float]) -> Figure:
    figure, (axes,) = _figure(4.5, 2.6)
    axes.plot([int(size) for size in cpu], list(cpu.values()), "o-", color=_COLOURS["ours"])
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("links in the table")
    axes.set_ylabel("ms of CPU for each customer")
    return figure
