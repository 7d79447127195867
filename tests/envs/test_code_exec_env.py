"""`code_exec` as a Gymnasium environment: tools, rubric, reference."""

import json

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

from envs import EnvSpec, Message, ToolCall
from envs.code_exec.env import MAX_CODE_CHARS, CodeExecEnv
from envs.code_exec.tasks import code_tasks
from sandboxes import SandboxError, register_backend

TASK = code_tasks("test", 1, 8)[0]


@pytest.fixture
def env():
    made = CodeExecEnv(train_tasks=100, timeout_s=1.0)
    yield made
    made.close()


def call(name, code):
    return Message.assistant("", ToolCall(name=name, arguments=json.dumps({"code": code}), id="1"))


def play(env, task, actions):
    env.reset(options={"task": task})
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            return observation, reward, info
    raise AssertionError("the episode did not end")


def said(env, code):
    env.reset(options={"task": TASK})
    (message,) = env.step(call("run_python", code))[0]
    return message.content


def test_gymnasium_accepts_it():
    check_env(gymnasium.make("code_exec-v0", train_tasks=100).unwrapped, skip_render_check=True)


def test_the_reference_scores_one_on_a_task_of_every_family(env):
    for task in code_tasks("test", 264, 8):
        _, reward, info = play(env, task, env.reference(task))
        assert (reward, info["success"]) == (1.0, True), task.id


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_reference_scores_one_on_every_task(env, split):
    for task in CodeExecEnv.tasks(CodeExecEnv.Config(), split):
        _, reward, _ = play(env, task, env.reference(task))
        assert reward == 1.0, task.id


def test_the_reference_tries_its_solution_first_on_about_a_quarter_of_the_tasks(env):
    lengths = [len(list(env.reference(task))) for task in code_tasks("test", 512, 8)]
    assert 0.18 <= lengths.count(2) / len(lengths) <= 0.32
    assert set(lengths) == {1, 2}


def test_what_the_reference_tries_prints_one_line(env):
    tried = 0
    for task in code_tasks("test", 264, 8):
        first, *rest = env.reference(task)
        if rest:
            tried += 1
            env.reset(options={"task": task})
            (message,) = env.step(first)[0]
            assert len(message.content.splitlines()) == 1
            assert "Error" not in message.content
    assert tried > 40


def test_a_wrong_answer_scores_less_than_the_reference(env):
    for task, other in zip(code_tasks("test", 90, 8), code_tasks("test", 91, 8)[1:], strict=True):
        _, reward, info = play(env, task, [call("submit", other.solution)])
        assert reward < 1.0, task.id
        assert not info["success"]


def test_partial_credit_is_given_by_criterion(env):
    def scores(code):
        return play(env, TASK, [call("submit", code)])[2]["scores"]

    assert scores("def f(x") == {"parses": 0, "runs": 0, "tests": 0, "all_passed": 0}
    assert scores("def f(x): return y") == {"parses": 1, "runs": 0, "tests": 0, "all_passed": 0}
    assert scores("def f(x): return None") == {"parses": 1, "runs": 1, "tests": 0, "all_passed": 0}
    lucky = scores(f"def f(x): return {TASK.tests[0].expected!r}")
    assert 0 < lucky["tests"] < 1
    assert lucky["all_passed"] == 0


def test_an_answer_without_a_submission_scores_zero_in_everything(env):
    _, reward, info = play(env, TASK, [Message.assistant(TASK.solution)])
    assert reward == 0
    assert set(info["scores"].values()) == {0.0}


def test_a_submission_does_not_outlive_its_episode(env):
    play(env, TASK, [call("submit", TASK.solution)])
    _, reward, _ = play(env, TASK, [Message.assistant("done")])
    assert reward == 0


def test_an_episode_ended_by_a_limit_is_scored_without_a_submission(env):
    env.reset(options={"task": TASK})
    env.step(call("run_python", "print(1)"))
    assert env.truncate()[0] == 0


def test_the_verdict_tells_counts_and_the_policy_nothing(env):
    observation, _, info = play(env, TASK, [call("submit", "def f(x): return 0")])
    assert [message.content for message in observation] == ["submitted"]
    assert set(info["facts"]) == {"parses", "runs", "passed"}


def test_calls_after_the_submission_are_not_carried_out(env):
    both = Message.assistant("", *call("submit", "def f(x): return 0").tool_calls, *call("submit", "2").tool_calls)
    observation, _, _ = play(env, TASK, [both])
    assert len(observation) == 1


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("print(1 + 1)", "2"),
        ("print('a\\n\\nb\\n')", "a\n\nb"),
        ("x = 1", "(no output)"),
        ("print('so far')\n1 / 0", "so far\nZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "exit code 3"),
        ("import sys\nsys.exit('no good')", "no good"),
        ("import sys\nprint('note', file=sys.stderr)", "(no output)"),
        ("print('so far', flush=True)\nwhile True: pass", "so far\ntimed out after 1 s"),
        ("x = [0] * 10 ** 10", "out of memory"),
    ],
)
def test_run_python_answers_in_short(env, code, result):
    assert said(env, code) == result


def test_a_syntax_error_is_told_in_one_line(env):
    assert said(env, "def f(x) return x") == "SyntaxError: expected ':'"


def test_a_long_output_is_cut_and_the_policy_is_told(env):
    text = said(env, "print('x' * 5000)")
    assert len(text) < 1200
    assert "[cut" in text


@pytest.mark.parametrize("name", ["run_python", "submit"])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (" \n", "Error: code is empty"),
        ("a\0b", "Error: code holds a null character"),
        ("x" * (MAX_CODE_CHARS + 1), f"Error: code has {MAX_CODE_CHARS + 1} characters; at most {MAX_CODE_CHARS}"),
    ],
)
def test_code_that_cannot_be_run_is_refused_and_the_episode_goes_on(env, name, code, message):
    env.reset(options={"task": TASK})
    (answer,), _, terminated, _, info = env.step(call(name, code))
    assert answer.content.startswith(message)
    assert info["tool_errors"] == ["refused"]
    assert not terminated


def test_code_of_the_largest_size_runs_whatever_its_characters(env):
    assert said(env, "#" + "🐍" * (MAX_CODE_CHARS - 10) + "\nprint(3)") == "3"


def test_nothing_is_kept_from_one_run_to_the_next_or_to_the_grading(env):
    code = "import os\nprint(os.path.exists('note.txt'))\nopen('note.txt', 'w').close()"
    assert said(env, code) == "False"
    assert said(env, code) == "False"


def test_a_failed_sandbox_leaves_the_episode_unscored():
    def broken(config):
        raise SandboxError("no machine")

    register_backend("code-exec-broken", broken)
    env = CodeExecEnv(sandbox={"id": "code-exec-broken"})
    env.reset(options={"task": TASK})
    with pytest.raises(SandboxError, match="no machine"):
        env.step(call("submit", TASK.solution))


def test_the_environment_is_made_by_its_name():
    env = EnvSpec("code_exec-v0", {"test_tasks": 3}).make()
    assert isinstance(env, CodeExecEnv)
    assert len(env.tasks(env.config, "test")) == 3
