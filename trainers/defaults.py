"""What a run sets in TRL's configuration unless the line says otherwise, and why it differs from TRL's own defaults."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from trainers.config import TrainConfig
from trainers.trl_options import trl_options

ALL_MODELS: Mapping[str, Any] = MappingProxyType(
    {
        "num_generations": 8,
        "loss_type": "dr_grpo",
        # The sampler runs in the model's own precision: a forward pass in another disagrees with it.
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "report_to": "none",
        "save_total_limit": 2,
    }
)
OTHER_MODELS: Mapping[str, Any] = MappingProxyType(
    {
        # 64 episodes a step, as with the embedded model, of which 8 at a time fit beside a model of billions.
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 8,
    }
)
"""Beyond `ALL_MODELS`; the learning rate is TRL's."""
EMBEDDED_MODEL: Mapping[str, Any] = MappingProxyType(
    {
        "per_device_train_batch_size": 64,
        # Held-out success is the same after 60 steps at 7e-4, which gets there in 3; at this rate it can be watched.
        "learning_rate": 2e-4,
        "lr_scheduler_type": "linear",
        "adam_beta2": 0.99,
    }
)
"""Beyond `ALL_MODELS`: a model of a million parameters bears a rate that would ruin a large one."""


def trl_values(config: TrainConfig) -> dict[str, Any]:
    """Return what `GRPOConfig` is given besides what the run decides: the defaults here, and `trl.*` over them."""
    own = EMBEDDED_MODEL if config.model == "embedded" else OTHER_MODELS
    return {**ALL_MODELS, **own, **config.trl}


def episodes_per_batch(config: TrainConfig) -> tuple[int, int]:
    """Return the episodes that are played together, in one process, and how many of them make a group."""
    values = trl_values(config)
    group = values["num_generations"] or int(trl_options()["num_generations"].default)
    per_step = values["per_device_train_batch_size"] * (
        values.get("steps_per_generation") or values.get("gradient_accumulation_steps") or 1
    )
    return values.get("generation_batch_size") or per_step, group
