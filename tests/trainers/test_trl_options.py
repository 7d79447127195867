import dataclasses

import pytest
from trl import GRPOConfig

from sandboxes import UsageError
from trainers.trl_options import check_trl, trl_options


def test_the_options_read_from_the_source_are_those_of_the_imported_class():
    fields = {field.name: field for field in dataclasses.fields(GRPOConfig) if field.init}
    assert set(trl_options()) == set(fields)
    for name in ("learning_rate", "num_generations", "temperature"):
        assert trl_options()[name].default == repr(fields[name].default)
        assert trl_options()[name].meaning == fields[name].metadata["help"].replace("%%", "%")


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"])
def test_every_loss_of_trl_passes(loss_type):
    check_trl({"loss_type": loss_type, "importance_sampling_level": "sequence"}, {})


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 1},
        {"epsilon_high": None},
        {"optim": "adamw_8bit"},
        {"lr_scheduler_type": "cosine"},
        {"model_init_kwargs": {"a": 1}},
        {"report_to": ["wandb"]},
    ],
)
def test_what_trl_takes_passes(values):
    check_trl(values, {})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_generations": 2.5}, "trl.num_generations=2.5: must be a whole number or null"),
        ({"beta": True}, "trl.beta=True: must be a number"),
        ({"importance_sampling_level": "word"}, "trl.importance_sampling_level=word: must be one of sequence, token"),
        ({"lr_scheduler_type": "cosin"}, "trl.lr_scheduler_type=cosin: did you mean 'cosine'?"),
    ],
)
def test_what_trl_would_refuse_later_is_refused_at_once(values, message):
    with pytest.raises(UsageError) as caught:
        check_trl(values, {})
    assert str(caught.value) == message
