import pytest

from envs import EnvSpec
from rollout.cli import parse_words
from rollout.limits import Limits
from sandboxes import UsageError
from trainers.config import TAKEN, TrainConfig, chosen_env, env_names, read_train_config, train_config
from trainers.trl_options import trl_options


def read(*words):
    return read_train_config(parse_words(words))


def test_an_environment_alone_is_a_whole_configuration():
    config = read("env=calculator")
    assert config.model == "embedded"
    assert config.eval.tasks == 256
    assert config.env.id == "calculator-v0"
    assert config.env_name == "calculator"


def test_the_environment_validates_its_own_fields():
    config = read("env=calculator", "env.max_turns=3", "sandbox.memory_mb=128")
    assert isinstance(config.env_spec, EnvSpec)
    assert config.env_spec.config["max_turns"] == 3
    assert config.env_spec.sandbox["memory_mb"] == 128
    assert config.env_spec.make().config.max_turns == 3


def test_a_configuration_survives_json():
    config = read("env=calculator-v0", "env.max_turns=3", "trl.learning_rate=1e-4", 'peft.target_modules=["q_proj"]')
    assert read_train_config(config.model_dump(mode="json")) == config


def test_limits_are_what_an_episode_may_use():
    assert read("env=calculator", "rollout.max_tokens=99").rollout.limits() == Limits(max_tokens=99)


def test_a_scalar_names_the_sandbox():
    assert read("env=calculator", "sandbox=process").sandbox.id == "process"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "env is missing: write env=…; there are: "),
        (["env=3"], "env=3: must be the name of an environment; there are: "),
        (["env=calculatr"], "no environment 'calculatr'; did you mean 'calculator'?"),
        (["env=calculator", "env.max_turns=0"], "env.max_turns=0: must be at least 1"),
        (["env=calculator", "env.max_trns=1"], "no option 'env.max_trns'; did you mean 'env.max_turns'?"),
        (["env=calculator", "learning_rate=1"], "no option 'learning_rate'; did you mean 'trl.learning_rate'?"),
        (["env=calculator", "trl.betta=1"], "no option 'trl.betta'; did you mean 'trl.beta'?"),
        (["env=calculator", "trl.beta=high"], "trl.beta=high: must be a number"),
        (["env=calculator", "trl.loss_type=grppo"], "trl.loss_type=grppo: did you mean 'grpo'?"),
        (["env=calculator", "trl.optim=adamm_torch"], "trl.optim=adamm_torch: did you mean 'adamw_torch'?"),
        (["env=calculator", "trl.max_steps=3"], "trl.max_steps: write steps=… instead"),
        (["env=calculator", "steps=0"], "steps=0: must be at least 1"),
    ],
)
def test_a_mistake_is_answered_with_what_would_be_right(words, message):
    with pytest.raises(UsageError) as caught:
        read(*words)
    assert str(caught.value).startswith(message)


def test_every_option_of_trl_that_is_taken_exists():
    assert set(TAKEN) <= set(trl_options())


@pytest.mark.parametrize("name", ["calculator", "code_exec"])
def test_an_environment_that_ships_has_a_complete_configuration(name):
    assert name in env_names()
    model = train_config(chosen_env({"env": name}))
    assert issubclass(model, TrainConfig)
    assert "max_turns" in model.model_fields["env"].annotation.model_fields
