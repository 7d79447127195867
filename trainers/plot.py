"""The learning curve as a picture: what training saw step by step, and the held-out figures before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_REWARD, _SUCCESS, _GREEDY, _INK = "#b9bec6", "#1f6feb", "#1a7f37", "#24292f"


def save_learning_curve(
    rows: Sequence[Mapping[str, Any]], evaluations: Mapping[str, Mapping[str, Any]], title: str, path: Path
) -> None:
    """Draw reward and success of the training episodes by step, and held-out success with its 95 % intervals.

    `rows` are steps with `step`, `reward` and `success` (None where no episode was scored); `evaluations` may hold
    "before" and "after", each with "greedy" and "sampled" figures. Needs no display; writes a PNG 1600 pixels wide.
    """
    figure = Figure(figsize=(8, 4.5), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    last = max((row["step"] for row in rows), default=1.0)
    _draw_training(axes, rows)
    for name, step, side in (("before", 0.0, -1), ("after", last, 1)):
        if name in evaluations:
            _draw_held_out(axes, evaluations[name], step, side * max(last, 10) * 0.012, labelled=name == "before")
    _dress(axes, title, last)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(path)


def smooth(values: Sequence[float], weight: float = 0.6) -> list[float]:
    """Return the exponential moving average, corrected for its start, so that the first value stands for itself."""
    total, norm, out = 0.0, 0.0, []
    for value in values:
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        out.append(total / norm)
    return out


def _draw_training(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    # The reward lies below and wider: where a task is won or lost, and nothing between, the two coincide.
    for key, colour, width, label in (
        ("reward", _REWARD, 4.0, "training reward"),
        ("success", _SUCCESS, 1.8, "training success"),
    ):
        points = [(row["step"], value) for row in rows if (value := row.get(key)) is not None]
        if points:
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, ".", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
            axes.plot(steps, smooth(values), color=colour, linewidth=width, label=f"{label} (smoothed)")


def _draw_held_out(axes: Axes, figures: Mapping[str, Any], step: float, shift: float, *, labelled: bool) -> None:
    marks = (("greedy", _GREEDY, "D", 1.6), ("sampled", _SUCCESS, "o", 0.6))
    for kind, colour, marker, places in marks:
        if kind not in figures or figures[kind]["n"] == 0:
            continue
        value, (low, high) = figures[kind]["success"], figures[kind]["ci95"]
        axes.errorbar(
            step + places * shift,
            value,
            yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
            fmt=marker,
            color=colour,
            markersize=6,
            markeredgecolor="white",
            capsize=3,
            label=f"held-out, {kind}" if labelled else None,
            zorder=3,
        )


def _dress(axes: Axes, title: str, last: float) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=_INK, parse_math=False)
    axes.set_xlabel("optimiser step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = axes.get_ylim()
    axes.set_ylim(min(-0.02, low), max(1.02, high))
    margin = 0.06 * max(last, 10)
    axes.set_xlim(-margin, last + margin)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
