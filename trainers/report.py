"""What a run found: the held-out figures side by side, and the screen that ends a run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rollout.statistics import success_figure
from rollout.trajectory import Trajectory
from trainers.transcript import transcript

Kind = str
"""`greedy` or `sampled`: how the policy chose its tokens."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The held-out tasks, played once greedily and once sampled, in the same order."""

    greedy: Sequence[Trajectory]
    sampled: Sequence[Trajectory]

    def figures(self) -> dict[str, Any]:
        """Return the success of both, with 95 % intervals, as `summary.json` has it."""
        return {"greedy": success_figure(self.greedy), "sampled": success_figure(self.sampled)}

    def means(self) -> dict[str, float]:
        """Return reward, criteria and what an episode took, as means over the scored sampled episodes."""
        scored = [trajectory for trajectory in self.sampled if trajectory.scored]
        names = dict.fromkeys(name for trajectory in scored for name in trajectory.scores)
        return {
            "reward": _mean(t.reward or 0.0 for t in scored),
            **{name: _mean(t.scores[name] for t in scored if name in t.scores) for name in names},
            "turns per episode": _mean(len(t.turns) for t in scored),
            "tool errors per episode": _mean(sum(len(turn.tool_errors) for turn in t.turns) for t in scored),
        }


def show_figures(console: Console, before: Evaluation, after: Evaluation | None = None) -> None:
    """Print the held-out figures of one evaluation, or of two side by side."""
    columns = [before] if after is None else [before, after]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{len(before.sampled)} held-out tasks")
    for name in ("before", "after")[: len(columns)]:
        table.add_column(f"{name} (95 % interval)")
    for kind in ("greedy", "sampled"):
        table.add_row(f"success, {kind}", *(_figure(column.figures()[kind]) for column in columns), style="bold")
    means = [column.means() for column in columns]
    for name in dict.fromkeys(name for column in means for name in column):
        table.add_row(Text(f"  {name}"), *(f"{column[name]:.2f}" if name in column else "" for column in means))
    console.print(table)


def show_one_episode(console: Console, before: Evaluation, after: Evaluation) -> None:
    """Print how one task was played before and after: side by side where the terminal is wide enough."""
    pair = telling_pair(before.sampled, after.sampled)
    if pair is None:
        return
    panels: list[RenderableType] = [
        Panel(transcript(trajectory), title=title, title_align="left", border_style=colour)
        for trajectory, title, colour in zip(pair, ("before", "after"), ("yellow", "green"), strict=True)
    ]
    if console.width < 100:
        console.print(Group(*panels))
        return
    console.print(Columns(panels, width=console.width // 2 - 1, padding=(0, 1)))


def telling_pair(before: Iterable[Trajectory], after: Iterable[Trajectory]) -> tuple[Trajectory, Trajectory] | None:
    """Return two episodes of one task: one that failed and then succeeded, else the one with the largest gain."""
    earlier = {trajectory.task_id: trajectory for trajectory in before if trajectory.scored}
    pairs = [(earlier[t.task_id], t) for t in after if t.scored and t.task_id in earlier]
    return max(pairs, key=lambda pair: (_gain(*pair), -_length(*pair)), default=None)


def verdict_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in a sentence what was learned, judged by whether the intervals of sampled success overlap."""
    first, last = before["sampled"], after["sampled"]
    if not (first["n"] and last["n"]):
        return "no held-out episode was scored, so nothing can be said"
    change = f"sampled success on held-out tasks went from {first['success']:.2f} to {last['success']:.2f}"
    if last["ci95"][0] > first["ci95"][1]:
        return f"it learned: {change}"
    if last["ci95"][1] < first["ci95"][0]:
        return f"it got worse: {change}"
    return f"no certain change: {change}, and the 95 % intervals overlap"


def _gain(before: Trajectory, after: Trajectory) -> float:
    return (after.success - before.success) + (after.reward or 0.0) - (before.reward or 0.0)


def _length(before: Trajectory, after: Trajectory) -> int:
    return sum(len(message.content) for message in (*before.messages, *after.messages))


def _figure(figure: Mapping[str, Any]) -> str:
    low, high = figure["ci95"]
    return f"{figure['success']:.2f}  ({low:.2f}-{high:.2f})" if figure["n"] else "none scored"


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0
