"""What a new user may do wrong, end to end: a clear message or a typed stop reason, and nothing written is lost."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import Qwen3ForCausalLM

from agents.embedded import load_embedded
from rollout.cli import run_cli
from rollout.records import read_records

QUICK = ["steps=1", "eval.tasks=2", "trl.per_device_train_batch_size=4", "trl.num_generations=2"]
SHORT = ["env.max_result_bytes=300", "env.max_turns=2", "rollout.max_new_tokens=24"]
ENVIRONMENTS = '''
from envs import EnvConfig, Message, Rubric, Task, ToolCall, ToolEnv, register, tool

class BadFlood(ToolEnv[Task, EnvConfig]):
    """A tool that returns 5 MB."""
    rubric = Rubric({"done": (1.0, lambda e: float("the first 300 of 5000000" in e.messages[-2].content))})

    @classmethod
    def tasks(cls, config, split):
        return [Task(id=f"{split}{n}", prompt=f"flood {n}") for n in range(8)]

    @tool
    def calculate(self, expression: str) -> str:
        """Return far too much."""
        return "7" * 5_000_000

    def reference(self, task):
        yield Message.assistant("", ToolCall(name="calculate", arguments='{"expression": "7"}'))
        yield Message.assistant("done")

class BadUnsolvable(BadFlood):
    """Its reference gives the wrong answer."""

    def reference(self, task):
        yield Message.assistant("no")

class BadBroken(BadFlood):
    """Its rubric fails."""
    reference = ToolEnv.reference
    rubric = Rubric({"done": (1.0, lambda e: 1 / 0)})

for cls in (BadFlood, BadUnsolvable, BadBroken):
    register(id=f"{cls.__name__}-v0", entry_point=f"bad_input_envs:{cls.__name__}")
'''


@pytest.fixture(autouse=True)
def environments(tmp_path, monkeypatch):
    (tmp_path / "bad_input_envs.py").write_text(ENVIRONMENTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_input_envs", raising=False)


def train(capsys, folder: Path, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()  # what making a model printed
    code = run_cli("trainers.command:train", [*QUICK, f"out={folder}", *words])
    out, err = capsys.readouterr()
    return code, " ".join(out.split()), err


def episodes(folder: Path):
    return [
        trajectory for file in sorted((folder / "trajectories").rglob("*.jsonl")) for trajectory in read_records(file)
    ]


def mute_model(folder: Path) -> str:
    """Save a model whose first token always ends the turn: one dimension is large everywhere, and only it speaks."""
    model, tokenizer = load_embedded()
    model.config.tie_word_embeddings = False
    mute = Qwen3ForCausalLM(model.config)
    with torch.no_grad():
        for weights in mute.parameters():
            weights.zero_()
        mute.model.embed_tokens.weight[:, 0] = 1.0
        mute.model.norm.weight[0] = 1.0
        mute.lm_head.weight[tokenizer.eos_token_id, 0] = 10.0
    mute.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_model_that_ends_every_turn_at_once_answers_nothing_and_is_scored(tmp_path, capsys):
    model = mute_model(tmp_path / "mute")
    code, out, err = train(capsys, tmp_path / "run", "env=calculator", f"model={model}")
    assert (code, err) == (0, "")
    assert "there is nothing to learn from equal ones" in out
    played = episodes(tmp_path / "run")
    assert {(t.stop.value, t.reward, len(t.turns[0].completion_ids)) for t in played} == {("answered", 0.0, 1)}


def test_a_tool_that_returns_5_mb_is_cut_and_the_run_goes_on(tmp_path, capsys):
    code, out, err = train(capsys, tmp_path / "run", "env=bad_input_envs:BadFlood", *SHORT)
    assert (code, err) == (0, "")
    assert "8 scripted references all succeed" in out


def test_a_reference_that_fails_is_named_before_anything_is_trained(tmp_path, capsys):
    code, _, err = train(capsys, tmp_path / "run", "env=bad_input_envs:BadUnsolvable")
    assert code == 2
    assert "the scripted reference of task 'train0' does not succeed" in err


def test_a_rubric_that_fails_leaves_every_episode_unscored_and_recorded(tmp_path, capsys):
    code, _, err = train(capsys, tmp_path / "run", "env=bad_input_envs:BadBroken", "rollout.retries=0", *SHORT)
    assert (code, err) == (0, "")
    said = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert said["unscored"] == said["episodes"] == 4 + 4 + 4
    assert all(t.reward is None and "division by zero" in str(t.error) for t in episodes(tmp_path / "run"))
