import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import pytest
from pydantic import ValidationError

from envs import EnvConfig, Episode, Message, Rubric, RubricError, Split, Task, ToolCall, ToolEnv, ToolError, tool


class Sum(Task):
    answer: int


class SumConfig(EnvConfig):
    count: int = 3


def check(episode: Episode[Sum]) -> float:
    if episode.answer == "fail the rubric":
        raise ValueError("no")
    return float(episode.answer == str(episode.task.answer))


class SumEnv(ToolEnv[Sum, SumConfig]):
    """Records what happens to the resource of its episodes."""

    system_prompt = "Add."
    rubric = Rubric[Sum](
        {
            "correct": (1.0, check),
            "in_time": (0.0, lambda e: not e.truncated),
            "calls": (0.0, lambda e: e.facts["calls"] / 10),
        }
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log: list[str] = []
        self.calls = 0

    @classmethod
    def tasks(cls, config: SumConfig, split: Split) -> Sequence[Sum]:
        return [Sum(id=f"{split}{n}", prompt=f"{n} + {n}?", answer=2 * n) for n in range(config.count)]

    def begin(self) -> None:
        self.log.append("begin")
        self.calls = 0
        if self.task.prompt == "cannot begin":
            raise OSError("no room")

    def establish(self) -> Mapping[str, Any]:
        self.log.append("establish")
        return {"calls": self.calls}

    def release(self) -> None:
        self.log.append("release")

    @tool
    def add(self, a: int, b: int) -> int:
        """Return a + b."""
        self.calls += 1
        return a + b

    @tool
    async def wait(self) -> dict[str, bool]:
        """Wait a moment."""
        await asyncio.sleep(0)
        return {"waited": True}

    @tool
    def refuse(self) -> str:
        """Refuse."""
        raise ToolError("not today")

    @tool
    def crash(self) -> str:
        """Meet a fault of ours."""
        raise OSError("disk full")

    @tool
    def speak(self, size: int) -> str:
        """Say é many times."""
        return "é" * size

    @tool
    def submit(self) -> str:
        """End the episode."""
        self.finish()
        return "done"

    @tool
    def messages(self) -> str:  # type: ignore[override]  # named like an attribute of the instance
        """Return the mail."""
        return "no mail"


TASK = Sum(id="t", prompt="2 + 2?", answer=4)


def call(name: str, id: str = "0", **arguments: Any) -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps(arguments), id=id)


def opened(**config: Any) -> SumEnv:
    env = SumEnv(**config)
    env.reset(options={"task": TASK})
    return env


def told(*calls: ToolCall, **config: Any) -> tuple[list[str], dict[str, Any]]:
    """Return what the environment answers to calls, and its info."""
    observation, _, _, _, info = opened(**config).step(Message.assistant("", *calls))
    return [message.content for message in observation], info


def test_reset_gives_the_system_prompt_and_the_task() -> None:
    observation, info = SumEnv().reset(options={"task": TASK})
    assert observation == (Message.system("Add."), Message.user("2 + 2?"))
    assert info == {}


def test_a_task_may_be_given_as_json_data_and_is_validated() -> None:
    env = SumEnv()
    env.reset(options={"task": json.loads(TASK.model_dump_json())})
    assert env.task == TASK
    with pytest.raises(ValidationError, match="answer"):
        env.reset(options={"task": {"id": "1", "prompt": "?"}})
    with pytest.raises(ValueError, match="the only option is 'task'"):
        env.reset(options={"tasks": []})


def test_without_a_task_the_seed_chooses_a_training_task() -> None:
    env = SumEnv(count=50)
    chosen = []
    for seed in (1, 2, 1):
        env.reset(seed=seed)
        chosen.append(env.task)
    assert chosen[0] == chosen[2] != chosen[1]
    assert chosen[0].id.startswith("train")


def test_text_without_calls_ends_the_episode_and_is_scored() -> None:
    env = opened()
    assert env.step(Message.assistant("4")) == (
        (),
        1.0,
        True,
        False,
        {
            "tool_calls": 0,
            "tool_errors": [],
            "scores": {"correct": 1.0, "in_time": 1.0, "calls": 0.0},
            "success": True,
            "facts": {"calls": 0},
        },
    )


def test_calls_are_answered_in_order_each_with_its_id() -> None:
    env = opened()
    observation, reward, terminated, truncated, info = env.step(
        Message.assistant("let me see", call("add", "x", a=1, b=2), call("wait", "y"), call("messages", "z"))
    )
    assert [(m.role, m.tool_call_id, m.name, m.content) for m in observation] == [
        ("tool", "x", "add", "3"),
        ("tool", "y", "wait", '{"waited":true}'),
        ("tool", "z", "messages", "no mail"),
    ]
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info == {"tool_calls": 3, "tool_errors": []}


def test_the_policys_mistakes_become_tool_messages_and_the_episode_goes_on() -> None:
    answers, info = told(
        ToolCall(name="", error="the call is no JSON object"),
        call("ad"),
        ToolCall(name="add", arguments='{"a": 1'),
        call("refuse"),
        call("add", a=1, b=1),
    )
    assert answers[0] == "Error: the call is no JSON object"
    assert answers[1] == "Error: no tool 'ad'; there are: add, wait, refuse, crash, speak, submit, messages"
    assert answers[2].startswith("Error: add: arguments: Invalid JSON")
    assert answers[3:] == ["Error: not today", "2"]
    assert info == {"tool_calls": 5, "tool_errors": ["unreadable", "unknown_tool", "bad_arguments", "refused"]}


def test_a_tool_may_end_the_episode_and_later_calls_are_not_carried_out() -> None:
    env = opened()
    observation, _, terminated, truncated, info = env.step(Message.assistant("", call("submit"), call("add", a=1, b=1)))
    assert [message.content for message in observation] == ["done"]
    assert (terminated, truncated, env.calls) == (True, False, 0)
    assert info["scores"]["correct"] == 0.0


def test_max_turns_truncates_and_scores_what_there_is() -> None:
    env = opened(max_turns=2)
    add = Message.assistant("4", call("add", a=2, b=2))
    assert env.step(add)[1:4] == (0.0, False, False)
    _, reward, terminated, truncated, info = env.step(add)
    assert (reward, terminated, truncated) == (1.0, False, True)
    assert info["scores"] == {"correct": 1.0, "in_time": 0.0, "calls": 0.2}


def test_an_answer_in_the_last_turn_is_no_truncation() -> None:
    assert opened(max_turns=1).step(Message.assistant("4"))[2:4] == (True, False)


def test_a_limit_from_outside_scores_what_there_is() -> None:
    env = opened()
    reward, info = env.truncate()
    assert (reward, info["scores"]["in_time"]) == (0.0, 0.0)
    with pytest.raises(RuntimeError, match="the last one is over"):
        env.truncate()


@pytest.mark.parametrize("size", [128, 129, 1_000_000])
def test_a_long_result_is_cut_at_whole_characters_and_the_policy_is_told(size: int) -> None:
    (answer,), _ = told(call("speak", size=size), max_result_bytes=257)
    if size == 128:
        assert answer == "é" * 128
    else:
        assert answer == "é" * 128 + f"\n[cut: the first 257 of {2 * size} bytes]"


def test_a_step_needs_an_open_episode_and_an_assistant_message() -> None:
    env = SumEnv()
    with pytest.raises(RuntimeError, match="no episode yet"):
        _ = env.task
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step(Message.assistant("4"))
    env.reset()
    with pytest.raises(TypeError, match="an action is an assistant message"):
        env.step(Message.user("4"))
    env.step(Message.assistant("4"))
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step(Message.assistant("4"))


def test_facts_are_established_after_the_last_action_and_the_resource_released_once() -> None:
    env = opened()
    env.step(Message.assistant("", call("add", a=1, b=1)))
    assert env.log == ["begin"]
    env.step(Message.assistant("4"))
    env.close()
    assert env.log == ["begin", "establish", "release"]


def test_a_fault_of_ours_leaves_step_and_the_next_reset_releases() -> None:
    env = opened()
    with pytest.raises(OSError, match="disk full"):
        env.step(Message.assistant("", call("crash")))
    env.reset()
    env.close()
    assert env.log == ["begin", "release", "begin", "release"]


def test_a_failed_rubric_or_begin_still_releases() -> None:
    env = opened()
    with pytest.raises(RubricError, match="'correct'"):
        env.step(Message.assistant("fail the rubric"))
    with pytest.raises(OSError, match="no room"):
        env.reset(options={"task": TASK.model_copy(update={"prompt": "cannot begin"})})
    assert env.log == ["begin", "establish", "release", "begin", "release"]
    with pytest.raises(RuntimeError, match="call reset first"):
        env.step(Message.assistant("4"))


def test_unknown_or_impossible_configuration_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_turn"):
        SumEnv(max_turn=3)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SumEnv(max_turns=0)
    assert SumEnv(sandbox={"id": "process"}).sandbox_options == {"id": "process"}


def test_a_tool_may_not_take_a_name_that_the_environment_needs() -> None:
    with pytest.raises(TypeError, match=r"tool Bad\.reset: ToolEnv needs that name"):

        class Bad(ToolEnv[Sum, SumConfig]):
            @tool
            def reset(self) -> str:  # type: ignore[override]
                """Start again."""
                return ""


def test_what_an_author_left_out_is_named_when_it_is_needed() -> None:
    class Bare(ToolEnv[Sum, SumConfig]):
        pass

    with pytest.raises(NotImplementedError, match="Bare must define the class method tasks"):
        Bare().reset()
    with pytest.raises(NotImplementedError, match="Bare has no scripted reference"):
        Bare().reference(TASK)


def test_a_subclass_keeps_task_config_and_tools_of_its_parent() -> None:
    class More(SumEnv):
        @tool
        def more(self) -> str:
            """Return more."""
            return "more"

    assert (More.Task, More.Config) == (Sum, SumConfig)
    assert list(More.tools) == [*SumEnv.tools, "more"]


def test_the_example_of_the_readme_works_as_it_stands() -> None:
    class Conversion(Task):
        answer: float

    class UnitsEnv(ToolEnv[Conversion, EnvConfig]):
        """Convert units with one tool; the reward is the right number."""

        rubric = Rubric({"close": (1.0, lambda e: float(e.answer.strip() == f"{e.task.answer:g}"))})

        @classmethod
        def tasks(cls, config, split):  # type: ignore[no-untyped-def]
            return [Conversion(id=str(k), prompt=f"{k} km in metres?", answer=1000 * k) for k in range(1, 100)]

        @tool
        def multiply(self, value: float, factor: float) -> str:
            """Return value * factor."""
            return f"{value * factor:g}"

    env = UnitsEnv()
    assert isinstance(env, gymnasium.Env)
    env.reset(options={"task": Conversion(id="7", prompt="7 km in metres?", answer=7000)})
    (result,), *_ = env.step(Message.assistant("", call("multiply", value=7, factor=1000)))
    assert env.step(Message.assistant(result.content))[1] == 1.0
