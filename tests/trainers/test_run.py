import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agents.models import load_model
from rollout.cli import run_cli
from rollout.records import read_records
from rollout.trajectory import Trajectory
from trainers.folder import read_lines

HOME = Path(__file__).parents[2]
SMALL = ["env=calculator", "trl.per_device_train_batch_size=4", "trl.num_generations=2"]
STEADY = ["trl.lr_scheduler_type=constant", "rollout.max_new_tokens=24"]


def train(capsys, *words):
    tasks = [] if any(word.startswith("eval.tasks") for word in words) else ["eval.tasks=3"]
    code = run_cli("trainers.command:train", [*SMALL, *STEADY, *tasks, *words])
    out, err = capsys.readouterr()
    return code, out, err


def rows(folder):
    timed = ("seconds/", "tokens_per_s", "step_time")
    return [{k: v for k, v in row.items() if not k.startswith(timed)} for row in read_lines(folder / "metrics.jsonl")]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_run_leaves_everything_that_it_names(tmp_path, capsys):
    folder = tmp_path / "run"
    code, out, err = train(capsys, "steps=2", "save_steps=1", f"out={folder}")
    assert (code, err) == (0, "")
    said = summary(folder)
    assert said["env"] == "calculator-v0"
    assert (said["model"], said["steps"], said["stopped"], said["unscored"]) == ("embedded", 2, False, 0)
    assert said["episodes"] == 4 * 3 + 2 * 4
    assert said["seconds"] > 0
    for name in ("before", "after"):
        for kind in ("greedy", "sampled"):
            assert said[name][kind]["n"] == 3
            played = list(read_records(folder / "trajectories" / f"{name}-{kind}.jsonl"))
            assert len(played) == 3
            assert isinstance(played[0], Trajectory)
    assert [row["step"] for row in rows(folder)] == [1, 2]
    assert len(list(read_records(folder / "trajectories" / "train" / "step-00002.jsonl"))) == 4
    assert (folder / "learning_curve.png").stat().st_size > 10_000
    assert "does NOT stop" in out
    assert "3 held-out tasks" in out
    assert "learning_curve.png" in out
    model, tokenizer = load_model(str(folder / "final"))
    assert model.config.vocab_size >= len(tokenizer)

    code, out, err = train(capsys, "steps=3", "save_steps=1", f"out={folder}", "resume=true")
    assert (code, err) == (0, "")
    assert [row["step"] for row in rows(folder)] == [1, 2, 3]
    again = summary(folder)
    assert again["before"] == said["before"]
    assert again["episodes"] == 4 * 3 + 3 * 4
    assert again["seconds"] > said["seconds"]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, capsys):
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train(capsys, "steps=4", f"out={whole}")
    train(capsys, "steps=2", f"out={halved}")
    train(capsys, "steps=4", f"out={halved}", "resume=true")
    # Which requests share a batch depends on timing, and a batch's shape on float32's last digits.
    assert rows(halved) == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in rows(whole)]
    assert summary(halved)["after"] == summary(whole)["after"]


@pytest.mark.slow
def test_adapters_are_merged_into_the_model_that_is_left(tmp_path, capsys):
    folder = tmp_path / "run"
    assert train(capsys, "steps=1", "peft.r=2", f"out={folder}")[0] == 0
    assert not (folder / "final" / "adapter_config.json").exists()
    code, _, err = train(capsys, "steps=1", f"model={folder / 'final'}", f"out={tmp_path / 'second'}")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["env.train_tasks=1"], "error: trl: 1 tasks, but a generation batch holds 2 different ones"),
        (["trl.temperature=-1"], "error: model=embedded: temperature=-1: must be 0 (greedy) or more"),
        (["trl.vllm_importance_sampling_mode=some"], "error: trl: "),
    ],
)
def test_what_only_the_libraries_can_refuse_is_one_line_too(tmp_path, capsys, words, message):
    code, _, err = train(capsys, f"out={tmp_path / 'run'}", *words)
    assert code == 2
    assert err.startswith(message)
    assert not (tmp_path / "run").exists()
    assert err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_finishes_the_step_and_keeps_what_was_learned(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "trainers.grpo", *SMALL, *STEADY, "eval.tasks=3", "steps=5000", f"out={folder}"]
    process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("training 1/"):
            os.kill(process.pid, signal.SIGINT)
            break
    out, err = process.communicate()
    guard.cancel()
    assert (process.returncode, err) == (130, "")
    said = summary(folder)
    assert said["stopped"]
    assert said["after"] is None
    assert said["steps"] == len(rows(folder)) < 5000
    assert f"stopped after {said['steps']} steps; go on with: python -m trainers.grpo out={folder} resume=true" in out
    assert (folder / "checkpoints" / f"checkpoint-{said['steps']}").exists()
    assert (folder / "final" / "model.safetensors").exists()
