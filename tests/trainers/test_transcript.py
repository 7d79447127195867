import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from envs import Message, ToolCall
from rollout.trajectory import StopReason, Trajectory, Turn
from trainers.transcript import plain, transcript

CALL = ToolCall(name="run_python", arguments='{"code": "def f(x):\\n    return x\\n"}', id="1")


def episode(*turns, reward=1.0, error=None):
    opening = (Message.system("rules"), Message.user("Write f."))
    return Trajectory(
        env="code_exec-v0", task_id="a", task={}, sample=0, seed=0, opening=opening, turns=turns,
        stop=StopReason.ENDED if error is None else StopReason.FAILED, reward=reward, success=reward == 1, error=error,
    )  # fmt: skip


def shown(trajectory, **bounds):
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(transcript(trajectory, **bounds))
    return console.file.getvalue()


def test_an_episode_reads_as_a_conversation():
    turn = Turn(Message.assistant("", CALL), (Message.tool("7", CALL),))
    lines = [line.rstrip() for line in shown(episode(turn)).splitlines()]
    assert lines == [
        "task   Write f.",
        "policy run_python(code=",
        "        def f(x):",
        "            return x",
        "        )",
        "tool   7",
        "ended, reward 1.00",
    ]


def test_calls_that_cannot_be_read_are_shown_as_written():
    broken = ToolCall(name="f", arguments="{oops")
    unread = ToolCall(name="", arguments="<x>", error="no JSON")
    listed = ToolCall(name="g", arguments="[1]")
    text = shown(episode(Turn(Message.assistant("", broken, unread, listed), ())))
    assert "f {oops" in text
    assert "(unreadable call: no JSON) <x>" in text
    assert "g [1]" in text


def test_an_empty_message_and_an_unscored_end_are_said():
    text = shown(episode(Turn(Message.assistant(""), ()), reward=None, error="SandboxError: gone"))
    assert "(nothing)" in text
    assert "unscored: SandboxError: gone" in text


def test_a_long_message_is_cut_in_lines_and_width():
    text = shown(
        episode(Turn(Message.assistant("\n".join("x" * 90 for _ in range(50))), ())), max_lines=3, max_width=20
    )
    assert "… 48 more lines" in text
    assert "x" * 20 not in text


@given(st.text(alphabet=st.characters(), max_size=40))
def test_what_a_model_wrote_cannot_steer_the_terminal(written):
    text = shown(episode(Turn(Message.assistant(f"[red]{written}\x1b[2J\x07"), ())))
    assert "[red]" in text
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


def test_plain_text_keeps_lines_and_letters():
    assert plain("a\n\tbé\x00\u200b") == "a\n    bé\\x00\\u200b"
