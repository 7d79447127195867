"""What a run shows while it works: a live bar in a terminal, a plain line now and then where output is no terminal."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


@dataclass(frozen=True, slots=True)
class StepFigures:
    """What one training step was like, over its episodes."""

    reward: float
    """Mean over the scored episodes."""
    spread: float
    """Standard deviation of the reward within a group, averaged over groups: without it there is nothing to learn."""
    tool_calls: float
    """Per episode."""
    tool_errors: float
    """Per episode."""
    tokens_per_s: float
    """Tokens sampled per second of generation."""

    def words(self) -> str:
        """Return the figures in a line."""
        return (
            f"reward {self.reward:.2f} ±{self.spread:.2f}  calls {self.tool_calls:.1f}  "
            f"errors {self.tool_errors:.2f}  {_thousands(self.tokens_per_s)} tok/s"
        )


class Display(Protocol):
    """One phase of a run: so many units of work, a few words about the latest."""

    def advance(self, done: int, words: str = "") -> None:
        """Say that `done` units in all are finished."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_display(console: Console, title: str, total: int, done: int = 0) -> Display:
    """Return the display that suits the console; `done` units were finished by an earlier run."""
    if console.is_terminal:
        return LiveDisplay(console, title, total, done)
    return PlainDisplay(console, title, total, done)


class LiveDisplay:
    """A bar that redraws itself, and below it the words of the latest unit."""

    def __init__(self, console: Console, title: str, total: int, done: int = 0) -> None:
        columns = TextColumn("{task.description}", markup=False), BarColumn(None), MofNCompleteColumn(), _TimeLeft(done)
        self._progress = _BarAndWords(*columns, console=console, expand=True, refresh_per_second=8)
        self._task = self._progress.add_task(title, total=total, completed=done, words="")

    def advance(self, done: int, words: str = "") -> None:
        """Redraw with `done` units in all."""
        self._progress.update(self._task, completed=done, words=words)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class PlainDisplay:
    """A line when the first unit is done, then at most one every `every_s` seconds, and one when all are done."""

    def __init__(
        self,
        console: Console,
        title: str,
        total: int,
        done: int = 0,
        *,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._title, self._total = console, title, total
        self._every_s, self._clock = every_s, clock
        self._begun, self._at_start = clock(), done
        self._last = float("-inf")

    def advance(self, done: int, words: str = "") -> None:
        """Print a line if it is time for one."""
        now = self._clock()
        if done < self._total and now - self._last < self._every_s:
            return
        self._last = now
        line = f"{self._title} {done}/{self._total}  {words}{self._left(now, done)}"
        self._console.print(Text(line.rstrip()), soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _left(self, now: float, done: int) -> str:
        """Return the time left in words; the first unit of many that run at once says nothing about the others."""
        ours = done - self._at_start
        if done >= self._total or ours < min(3, self._total // 20):
            return ""
        return f"  {_clock_words((now - self._begun) / max(ours, 1) * (self._total - done))} left"


class _BarAndWords(Progress):
    """A progress bar with a line of words below it."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            if task.fields["words"]:
                yield Text(f"  {task.fields['words']}", style="dim", no_wrap=True, overflow="ellipsis")


class _TimeLeft(ProgressColumn):
    """Time left, judged by this run's units alone and not by those that an earlier run had finished."""

    def __init__(self, done_before: int) -> None:
        super().__init__()
        self._done_before = done_before

    def render(self, task: Task) -> Text:
        elapsed, done = task.elapsed or 0.0, task.completed - self._done_before
        if done <= 0:
            return Text("-:-- left")
        if task.total is None or task.completed >= task.total:
            return Text(_clock_words(elapsed))
        return Text(f"{_clock_words(elapsed / done * (task.total - task.completed))} left")


def _clock_words(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _thousands(number: float) -> str:
    return f"{number / 1000:.1f}k" if number >= 1000 else f"{number:.0f}"
