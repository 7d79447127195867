"""The configuration of a training run: one frozen model whose field docstrings are the help text.

`env` has the fields of the chosen environment's own `Config`, so the model is completed per environment
(`train_config`). Nothing heavy is imported here: a mistake is answered before torch is.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from envs import EnvSpec, env_class, find_env, known_envs
from rollout.cli import load_config, merge
from rollout.limits import Limits
from sandboxes.config import SandboxConfig
from sandboxes.errors import UsageError
from trainers.trl_options import check_trl, trl_options
from trainers.without_effect import WITHOUT_EFFECT

_STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

TAKEN = {
    "max_steps": "write steps=… instead",
    "num_train_epochs": "write steps=… instead",
    "output_dir": "write out=… instead",
    "seed": "write seed=… instead",
    "save_steps": "write save_steps=… instead",
    "save_strategy": "write save_steps=… instead",
    "resume_from_checkpoint": "write resume=true instead",
    "max_completion_length": "write rollout.max_tokens=… instead, which bounds the whole episode",
    "remove_unused_columns": "the dataset's columns are the framework's own",
    "disable_tqdm": "the run has its own progress bar",
    **WITHOUT_EFFECT,
}
"""TRL options that a run sets itself or that have no effect here, and what to do instead."""


class EnvChoice(BaseModel):
    """Which environment, and its own configuration: a model of the chosen environment adds its fields."""

    model_config = _STRICT

    id: str
    """The environment: `code_exec`, `code_exec-v0`, or `my_package:MyEnv-v0`."""


class RolloutOptions(Limits):
    """How episodes are played, and what one may use."""

    concurrency: int = Field(64, ge=1)
    """Episodes in flight at once."""
    workers: int = Field(1, ge=1)
    """Worker processes that hold the environments."""
    retries: int = Field(2, ge=0)
    """How often an episode is begun again after a failure of ours, before it is left unscored."""

    def limits(self) -> Limits:
        """Return the limits of one episode alone."""
        return Limits.model_validate(self.model_dump(include=set(Limits.model_fields)))


class EvalOptions(BaseModel):
    """The evaluation on held-out tasks, before and after training."""

    model_config = _STRICT

    tasks: int = Field(256, ge=1)
    """Held-out tasks, at most; each is played once greedily and once sampled, before and after."""


class PeftOptions(BaseModel):
    """LoRA adapters instead of full fine-tuning."""

    model_config = _STRICT

    r: int = Field(0, ge=0)
    """Rank of the adapters; 0 trains all weights."""
    alpha: int = Field(32, ge=1)
    """Scale of the adapters' output, divided by the rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before the adapters."""
    target_modules: tuple[str, ...] = ("all-linear",)
    """Names of the modules that get an adapter, or `all-linear` for every linear layer but the head."""


class TrainConfig(BaseModel):
    """Everything a run depends on; saved with it as `config.json`."""

    model_config = _STRICT

    env: EnvChoice
    """The environment and its configuration."""
    sandbox: SandboxConfig = SandboxConfig()
    """Where the programs of the policy run."""
    model: str = "embedded"
    """`embedded`, or the path or hub name of a causal language model with a chat template."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Every random choice of the run derives from it."""
    steps: int = Field(40, ge=1)
    """Optimiser steps."""
    save_steps: int = Field(20, ge=1)
    """A checkpoint is kept every so many steps."""
    out: str = ""
    """Folder of the run; runs/<environment>-<number> unless given."""
    resume: bool = False
    """Go on from the last checkpoint in `out`."""
    eval: EvalOptions = EvalOptions()
    """The evaluation before and after."""
    rollout: RolloutOptions = RolloutOptions()
    """How episodes are played."""
    peft: PeftOptions = PeftOptions()
    """LoRA adapters."""
    trl: dict[str, Any] = Field(default_factory=dict)
    """Options of TRL's `GRPOConfig`, as `trl.learning_rate=1e-5`."""

    @field_validator("trl")
    @classmethod
    def _known_to_trl(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values:
            check_trl(values, TAKEN)
        return values

    @property
    def env_spec(self) -> EnvSpec:
        """The environment as plain data, with its sandbox."""
        return EnvSpec(self.env.id, self.env.model_dump(exclude={"id"}), self.sandbox.model_dump())

    @property
    def env_name(self) -> str:
        """The environment's name without package and version, for titles and folders."""
        return self.env.id.rpartition(":")[2].rpartition("-v")[0].rpartition("/")[2]


@cache
def train_config(env_id: str) -> type[TrainConfig]:
    """Return `TrainConfig` completed by the configuration of one environment, given by its full id."""
    config = env_class(env_id).Config
    choice = create_model("Env", __base__=(EnvChoice, config))
    fields: dict[str, Any] = {"env": (choice, TrainConfig.model_fields["env"])}
    return create_model("TrainConfig", __base__=TrainConfig, __doc__=TrainConfig.__doc__, **fields)


def read_train_config(data: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration that the nested data of a command line says.

    Raises:
        UsageError: a key, an environment or a value is wrong, with the nearest that is right.
    """
    full_id = chosen_env(data)
    if full_id is None:
        raise UsageError(f"env is missing: write env=…; there are: {', '.join(env_names())}")
    more = [f"trl.{name}" for name in trl_options()] if _may_mean_trl(data) else []
    return load_config(train_config(full_id), merge(data, {"env": {"id": full_id}}), more)


def chosen_env(data: Mapping[str, Any]) -> str | None:
    """Return the full id of the environment that nested data names, or None if it names none.

    Raises:
        UsageError: there is no such environment.
    """
    node = data.get("env")
    name = node.get("id") if isinstance(node, Mapping) else node
    if name is None:
        return None
    if not isinstance(name, str):
        raise UsageError(f"env={name}: must be the name of an environment; there are: {', '.join(env_names())}")
    return find_env(name)


def env_names() -> list[str]:
    """Return the names of all environments without their versions, sorted."""
    return sorted({id.rpartition("-v")[0] for id in known_envs()})


def _may_mean_trl(data: Mapping[str, Any]) -> bool:
    """Whether a key at the top is unknown: it may be one of TRL's without its prefix."""
    return not set(data) <= set(TrainConfig.model_fields)
