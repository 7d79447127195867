"""Where episodes go as they end: into the records of their phase, and into the run's counts.

Before the first phase begins they go nowhere.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rollout.records import RecordWriter, read_records
from rollout.trajectory import Trajectory


class EpisodeLog:
    """Writes every episode on its own as it ends, so that a run killed at any moment loses none that ended.

    `count` and `unscored` are numbers of episodes since the run began, those before a resume included.
    """

    def __init__(self) -> None:
        self.count = 0
        self.unscored = 0
        self._writer: RecordWriter | None = None
        self._watch: Callable[[Trajectory], None] | None = None

    def begin(self, path: Path, watch: Callable[[Trajectory], None] | None = None) -> None:
        """Send what follows into a file, and to `watch` if given."""
        self.close()
        self._writer, self._watch = RecordWriter(path), watch

    def __call__(self, trajectory: Trajectory) -> None:
        """Take an episode: `RolloutEngine`'s `on_end`.

        Raises:
            OSError: it could not be written.
        """
        if self._writer is None:
            return  # a scripted reference that is being checked
        self._writer.write(trajectory)
        self.count += 1
        self.unscored += not trajectory.scored
        if self._watch is not None:
            self._watch(trajectory)

    def count_earlier(self, files: Sequence[Path]) -> None:
        """Count the episodes that an earlier process recorded."""
        for file in files:
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    self.count += 1
                    self.unscored += json.loads(line)["reward"] is None

    def close(self) -> None:
        """Close the file. Closing twice is allowed."""
        if self._writer is not None:
            self._writer.close()
        self._writer = self._watch = None


def recorded(path: Path, task_ids: Sequence[str]) -> list[Trajectory] | None:
    """Return the recorded episodes in the order of `task_ids`, or None unless the file has exactly one of each."""
    if not path.exists():
        return None
    found = {trajectory.task_id: trajectory for trajectory in read_records(path)}
    return [found[id] for id in task_ids] if set(found) == set(task_ids) else None
