"""`ReferenceAgent`: plays the scripted solutions that an environment ships (`ToolEnv.reference`)."""

import difflib
from collections.abc import Iterator, Sequence

from agents.base import AgentError, Generation, Prompt
from envs import EnvSpec, Message, Task


class ReferenceAgent:
    """Plays `env.reference(task)`, one generator for each episode; the task is found by `prompt.task_id`.

    It has no token ids. What a reference raises leaves `act`, so that its episode is unscored.
    """

    def __init__(self, env: EnvSpec, tasks: Sequence[Task]) -> None:
        self._env = env.make()
        self._tasks = {task.id: task for task in tasks}
        self._playing: dict[str, Iterator[Message]] = {}

    async def act(self, prompt: Prompt) -> Generation:
        """Answer with the reference's next message.

        Raises:
            AgentError: the task is unknown, or the reference has said everything and the episode is not over.
        """
        if prompt.episode not in self._playing:
            self._playing[prompt.episode] = iter(self._env.reference(self._task(prompt.task_id)))
        message = next(self._playing[prompt.episode], None)
        if message is None:
            raise AgentError(f"the reference of task {prompt.task_id!r} ended before its episode did")
        return Generation(message)

    def forget(self, episode: str) -> None:
        """Drop the generator of an episode that has ended."""
        self._playing.pop(episode, None)

    async def close(self) -> None:
        """Drop every generator, and the environment."""
        self._playing.clear()
        self._env.close()

    def _task(self, task_id: str) -> Task:
        if task_id in self._tasks:
            return self._tasks[task_id]
        near = difflib.get_close_matches(task_id, list(self._tasks), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AgentError(f"no task {task_id!r} among the {len(self._tasks)} this reference agent was given{hint}")
