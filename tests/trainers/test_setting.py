import pytest

from rollout.cli import parse_words
from sandboxes import UsageError
from trainers.config import PeftOptions, read_train_config
from trainers.folder import RunFolder
from trainers.setting import adapter_of, arguments_of


def arguments(tmp_path, *words):
    config = read_train_config(parse_words(["env=calculator", f"out={tmp_path / 'run'}", *words]))
    return arguments_of(config, RunFolder.open(config))


def test_the_run_decides_what_is_its_own(tmp_path):
    args = arguments(tmp_path, "steps=7", "seed=3", "save_steps=2", "rollout.max_tokens=99", "trl.beta=0.5")
    assert (args.max_steps, args.seed, args.save_steps, args.max_completion_length, args.beta) == (7, 3, 2, 99, 0.5)
    assert args.output_dir == str(tmp_path / "run" / "checkpoints")


def test_what_trl_refuses_is_a_word_to_the_user(tmp_path):
    with pytest.raises(UsageError, match=r"^trl: .*auto_find_batch_size"):
        arguments(tmp_path, "trl.auto_find_batch_size=true")


def test_adapters_are_as_configured():
    assert adapter_of(PeftOptions()) is None
    everywhere = adapter_of(PeftOptions(r=4, alpha=8, dropout=0.1))
    assert everywhere is not None
    assert (everywhere.r, everywhere.lora_alpha, everywhere.lora_dropout) == (4, 8, 0.1)
    assert everywhere.target_modules == "all-linear"
    some = adapter_of(PeftOptions(r=4, target_modules=("q_proj", "v_proj")))
    assert some is not None
    assert some.target_modules == {"q_proj", "v_proj"}
