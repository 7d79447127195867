import pytest

from rollout.cli import parse_words
from sandboxes import UsageError
from trainers.config import read_train_config
from trainers.defaults import ALL_MODELS, EMBEDDED_MODEL, episodes_per_batch, trl_values
from trainers.preflight import check_before_import, check_groups
from trainers.trl_options import check_trl


def config(*words):
    return read_train_config(parse_words(["env=calculator", *words]))


def test_the_defaults_are_options_of_trl():
    check_trl({**ALL_MODELS, **EMBEDDED_MODEL}, {})


def test_the_line_wins_over_the_defaults():
    values = trl_values(config("trl.bf16=true", "trl.learning_rate=1"))
    assert (values["bf16"], values["learning_rate"], values["num_generations"]) == (True, 1, 8)


def test_the_rate_of_the_embedded_model_is_no_rate_for_another():
    assert "learning_rate" in trl_values(config())
    assert "learning_rate" not in trl_values(config("model=gpt2"))


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        ([], (64, 8)),
        (["trl.per_device_train_batch_size=8", "trl.gradient_accumulation_steps=4"], (32, 8)),
        (["trl.per_device_train_batch_size=8", "trl.steps_per_generation=2", "trl.num_generations=4"], (16, 4)),
        (["trl.generation_batch_size=128", "trl.num_generations=null"], (128, 8)),
    ],
)
def test_batches_and_groups_are_counted_as_trl_counts_them(words, sizes):
    assert episodes_per_batch(config(*words)) == sizes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trl.num_generations=1"], "trl.num_generations=1: GRPO compares the episodes of one task"),
        (
            ["trl.per_device_train_batch_size=30"],
            "30 episodes a batch are no whole number of groups .* 24 or 32 in all",
        ),
        (["trl.per_device_train_batch_size=4"], "trl.per_device_train_batch_size 8 in all"),
    ],
)
def test_groups_that_do_not_fit_are_refused_with_the_fix(words, message):
    with pytest.raises(UsageError, match=message):
        check_groups(config(*words))


def test_an_unknown_sandbox_is_refused_at_once():
    with pytest.raises(UsageError, match="no sandbox 'proces'; did you mean 'process'"):
        check_before_import(config("sandbox=proces"))
