import errno
import json
import os
from collections import namedtuple

import pytest

from rollout.cli import parse_words
from sandboxes import UsageError
from trainers import folder as module
from trainers.config import read_train_config
from trainers.folder import RunFolder, append_line, disk_trouble, read_lines, resumed, write_whole


def config(*words):
    return read_train_config(resumed(parse_words(["env=calculator", *words])))


def test_a_run_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [RunFolder.open(config()).path.name for _ in range(2)]
    assert names == ["calculator-1", "calculator-2"]


def test_the_saved_configuration_runs_again_as_it_stands(tmp_path):
    opened = RunFolder.open(config(f"out={tmp_path / 'a'}", "seed=7"))
    again = read_train_config(json.loads(opened.config.read_text()))
    assert again.seed == 7
    assert again.out == str(tmp_path / "a")


def test_a_folder_that_holds_something_is_refused_unless_resumed(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UsageError, match="is not empty; name another folder, or go on with resume=true"):
        RunFolder.open(config(f"out={tmp_path}"))
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_an_empty_folder_is_taken(tmp_path):
    assert RunFolder.open(config(f"out={tmp_path}")).path == tmp_path


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        RunFolder.open(config(f"out={tmp_path / 'f'}"))


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(UsageError, match=r"out=.*: cannot be (written|read)"):
        RunFolder.open(config(f"out={tmp_path / 'f' / 'run'}"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_a_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written: Permission denied"):
        RunFolder.open(config(f"out={tmp_path / 'run'}"))


def test_a_full_disk_is_found_before_any_work(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 5 << 20))
    with pytest.raises(UsageError, match="only 5 MB are free there, a run needs 100 MB"):
        RunFolder.open(config(f"out={tmp_path}"))


def test_a_resumed_run_takes_its_options_from_the_folder(tmp_path):
    RunFolder.open(config(f"out={tmp_path}", "seed=7", "steps=9"))
    again = read_train_config(resumed(parse_words([f"out={tmp_path}", "resume=true", "steps=20"])))
    assert (again.seed, again.steps, again.resume) == (7, 20, True)
    assert RunFolder.open(again).path == tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=8"], "seed is 8 on the line but 7 in the run"),
        (["env.max_turns=2"], "env is .* on the line"),
        (["model=gpt2"], 'model is "gpt2" on the line but "embedded" in the run'),
    ],
)
def test_a_resumed_run_cannot_change_what_its_figures_depend_on(tmp_path, words, message):
    RunFolder.open(config(f"out={tmp_path}", "seed=7"))
    changed = read_train_config(resumed(parse_words([f"out={tmp_path}", "resume=true", *words])))
    with pytest.raises(UsageError, match=message):
        RunFolder.open(changed)


@pytest.mark.parametrize("words", [["resume=true"], ["resume=true", "out=nowhere"]])
def test_nothing_to_resume_is_said(words):
    with pytest.raises(UsageError, match=r"resume=true: say which run|no run to resume"):
        resumed(parse_words(words))


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert list(read_lines(path)) == []
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2')
    assert list(read_lines(path)) == [{"step": 1}]


def test_a_file_is_replaced_whole(tmp_path):
    write_whole(tmp_path / "a.json", "1")
    write_whole(tmp_path / "a.json", "2")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "2")]


def test_the_files_named_at_the_end_exist(tmp_path):
    opened = RunFolder.open(config(f"out={tmp_path}"))
    assert opened.files() == [opened.trajectories, opened.config]


def test_a_rewound_run_has_forgotten_the_steps_it_takes_again(tmp_path):
    opened = RunFolder.open(config(f"out={tmp_path}"))
    (opened.trajectories / "train").mkdir()
    for step in (1, 2, 100_000):
        append_line(opened.metrics, {"step": step})
        opened.step_records(step).write_text("")
    for name in ("before", "after"):
        opened.evaluation_records(name, "greedy").write_text("")
    opened.rewind(1)
    assert [path.name for path in opened.trajectories.glob("*.jsonl")] == ["before-greedy.jsonl"]
    assert list(read_lines(opened.metrics)) == [{"step": 1}]
    assert list((opened.trajectories / "train").iterdir()) == [opened.step_records(1)]


@pytest.mark.parametrize(
    ("error", "free", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.bin"), 0, "a.bin: No space left on device; what was"),
        (OSError(errno.EROFS, "Read-only file system"), 1 << 30, "Read-only file system; what was written before"),
        (RuntimeError("PytorchStreamWriter failed"), 0, "No space left on device; what was written before is kept"),
    ],
)
def test_a_disk_that_fills_up_is_told_from_other_faults(tmp_path, monkeypatch, error, free, words):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, free))
    assert words in (disk_trouble(error, tmp_path) or "")


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), RuntimeError("a fault of ours")])
def test_other_faults_are_not_blamed_on_the_disk(tmp_path, error):
    assert disk_trouble(error, tmp_path) is None


def test_a_folder_in_which_nothing_was_played_is_given_back(tmp_path):
    opened = RunFolder.open(config(f"out={tmp_path / 'run'}"))
    opened.log.write_text("refused")
    opened.discard_if_unused()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_episodes_or_a_file_of_others_is_kept(tmp_path):
    played = RunFolder.open(config(f"out={tmp_path / 'played'}"))
    played.evaluation_records("before", "greedy").write_text("{}")
    played.discard_if_unused()
    assert played.config.exists()
    noted = RunFolder.open(config(f"out={tmp_path / 'noted'}"))
    (noted.path / "note").write_text("mine")
    noted.discard_if_unused()
    assert [path.name for path in noted.path.iterdir()] == ["note"]
