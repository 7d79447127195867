import subprocess
import sys
from pathlib import Path

import pytest

from rollout.cli import run_cli
from trainers.config import TAKEN
from trainers.trl_options import trl_options

HEAVY = ("torch", "transformers", "trl", "datasets", "peft", "matplotlib")


def answer(capsys, *words):
    code = run_cli("trainers.command:train", list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_help_shows_every_option_of_the_chosen_environment(capsys):
    code, out, _ = answer(capsys, "help", "env=calculator")
    assert code == 0
    for word in (
        "env.max_turns=",
        "env.test_tasks=",
        "sandbox.memory_mb=512",
        "model=embedded",
        "steps=",
        "calculate(",
    ):
        assert word in out


def test_help_names_every_option_of_trl_that_may_be_given(capsys):
    _, out, _ = answer(capsys, "help")
    words = set(out.split())
    assert {f"trl.{name}" for name in trl_options() if name not in TAKEN} <= words
    assert "trl.max_steps" not in words


def test_help_without_an_environment_lists_them(capsys):
    _, out, _ = answer(capsys, "--help")
    assert "calculator" in out
    assert "code_exec" in out


@pytest.mark.parametrize("words", [["env=cod_exec"], ["help", "env=cod_exec"], ["help", "env=calculator", "x=1"]])
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words):
    code, _, err = answer(capsys, *words)
    assert code == 2
    assert err.startswith("error: no ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["help"], ["help", "env=calculator"], ["env=calculator", "trl.betta=1"]])
def test_help_and_mistakes_are_answered_before_anything_heavy_is_imported(words):
    code = f"import sys; from trainers.grpo import main; main({words!r}); "
    code += f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    home = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_module_runs_as_a_command():
    home = Path(__file__).parents[2]
    command = [sys.executable, "-m", "trainers.grpo", "env=calculator", "model=./nowhere"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: model=./nowhere: there is no such folder\n"
