import json

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from pydantic import ValidationError

from envs import EnvSpec, Message, Split, ToolCall
from envs.calculator.env import CalculatorConfig, CalculatorEnv
from envs.calculator.problems import CalculatorTask

TASK = CalculatorTask(id="t", prompt="Work out (47 + 38) / 9.", answer="85/9", expression="(47 + 38) / 9")


def calculate(expression: str) -> Message:
    call = ToolCall(name="calculate", arguments=json.dumps({"expression": expression}), id="call_0")
    return Message.assistant("", call)


def scores(*actions: Message, task: CalculatorTask = TASK) -> dict[str, float]:
    """Play the actions in a new episode and return its scores, with the reward and success among them."""
    env = CalculatorEnv()
    env.reset(options={"task": task})
    for action in actions:
        _, reward, terminated, truncated, info = env.step(action)
    assert terminated or truncated
    return {"reward": reward, "success": info["success"], **info["scores"]}


def test_gymnasium_makes_it_and_its_checker_is_content() -> None:
    env = gymnasium.make("calculator-v0", train_tasks=16)
    check_env(env.unwrapped)
    observation, _ = env.reset(seed=3)
    assert [message.role for message in observation] == ["system", "user"]


def test_unknown_configuration_is_an_error() -> None:
    with pytest.raises(ValidationError, match="train_task"):
        EnvSpec("calculator-v0", {"train_task": 5}).make()
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        CalculatorEnv(test_tasks=0)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_reference_scores_1_on_every_task_and_a_changed_answer_less(split: Split) -> None:
    env = CalculatorEnv()
    for task in env.tasks(CalculatorConfig(), split):
        call, answer = env.reference(task)
        env.reset(options={"task": task})
        observation, *_ = env.step(call)
        assert observation[0].content == task.answer
        _, reward, terminated, _, info = env.step(answer)
        assert (reward, terminated, info["success"], info["tool_errors"]) == (1.0, True, True, [])
        wrong = scores(Message.assistant(f"1{task.answer.lstrip('-')}"), task=task)
        assert (wrong["reward"], wrong["success"]) == (0.0, False)


@pytest.mark.parametrize("text", ["85/9", " 85/9\n", "170/18", "+85/9"])
def test_the_right_number_alone_earns_the_reward(text: str) -> None:
    assert scores(calculate(TASK.expression), Message.assistant(text))["reward"] == 1.0


@pytest.mark.parametrize("text", ["", "The answer is 85/9.", "9.444444444", "(47 + 38) / 9", "-85/9", "85", "85/0"])
def test_any_other_answer_earns_nothing(text: str) -> None:
    assert scores(calculate(TASK.expression), Message.assistant(text))["reward"] == 0.0


def test_answering_without_the_tool_is_recorded_but_not_punished() -> None:
    without = scores(Message.assistant("85/9"))
    assert (without["reward"], without["used_tool"], without["only_a_number"]) == (1.0, 0.0, 1.0)
    failed = scores(calculate("1 / 0"), Message.assistant("do not know"))
    assert (failed["reward"], failed["used_tool"], failed["only_a_number"]) == (0.0, 0.0, 0.0)


def test_a_number_beside_a_tool_call_is_no_answer() -> None:
    both = calculate("1 + 1").model_copy(update={"content": "85/9"})
    ended = scores(both, both, both, both)
    assert (ended["reward"], ended["used_tool"]) == (0.0, 1.0)


def test_a_refused_expression_is_told_to_the_policy_and_the_episode_goes_on() -> None:
    env = CalculatorEnv()
    env.reset(options={"task": TASK})
    observation, reward, terminated, truncated, info = env.step(calculate("2**99999"))
    assert observation[0].content == "Error: 2**99999: the result would have more than 1000 digits"
    assert (reward, terminated, truncated, info["tool_errors"]) == (0.0, False, False, ["refused"])


def test_the_schema_tells_the_model_what_to_write() -> None:
    function = CalculatorEnv.tools["calculate"].schema["function"]
    assert function["name"] == "calculate"
    assert list(function["parameters"]["properties"]) == ["expression"]
    assert "(47 + 38) * 6" in function["parameters"]["properties"]["expression"]["description"]
