"""A configuration turned into what TRL and PEFT take, and the model that a run leaves behind."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.grpo_config import GRPOConfig

from agents.engine import TransformersAgent
from envs import Task
from sandboxes import UsageError
from trainers.config import PeftOptions, TrainConfig
from trainers.defaults import trl_values
from trainers.folder import RunFolder
from trainers.playing import Player
from trainers.trainer import EnvGRPOTrainer

_log = logging.getLogger("toolgym.trainers")


def arguments_of(config: TrainConfig, folder: RunFolder) -> GRPOConfig:
    """Return TRL's configuration.

    Raises:
        UsageError: TRL refuses a value, or two that do not go together.
    """
    try:
        return GRPOConfig(
            **{
                "dataloader_pin_memory": torch.accelerator.is_available(),  # torch 2.13 warns where there is none
                **trl_values(config),
                "output_dir": str(folder.checkpoints),
                "max_steps": config.steps,
                "seed": config.seed,
                "save_strategy": "steps",
                "save_steps": config.save_steps,
                "max_completion_length": config.rollout.max_tokens,
                "disable_tqdm": True,
            }
        )
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"trl: {' '.join(str(error).split())}") from error


def agent_of(
    config: TrainConfig, args: GRPOConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> TransformersAgent:
    """Return the agent that samples from `model` as TRL's options say.

    Raises:
        UsageError: the engine cannot run the model, or a sampling option is out of its range.
    """
    try:
        return TransformersAgent(
            model, tokenizer, max_batch=config.rollout.concurrency, temperature=args.temperature, top_p=args.top_p
        )
    except ValueError as error:
        raise UsageError(f"model={config.model}: {error}") from error


def trainer_of(
    config: TrainConfig,
    args: GRPOConfig,
    player: Player,
    tasks: Sequence[Task],
    policy: tuple[PreTrainedModel, PreTrainedTokenizerBase],
) -> EnvGRPOTrainer:
    """Return the trainer of a policy, with adapters if so configured.

    Raises:
        UsageError: TRL or the trainer refuses options, tasks or adapters.
    """
    model, tokenizer = policy
    adapter = adapter_of(config.peft)
    try:
        return EnvGRPOTrainer(model, args, player=player, tasks=tasks, processing_class=tokenizer, peft_config=adapter)
    except (ValueError, TypeError) as error:
        _log.info("the trainer refused its options", exc_info=True)
        raise UsageError(f"trl: {' '.join(str(error).split())}") from error


def adapter_of(options: PeftOptions) -> LoraConfig | None:
    """Return the adapters to train, or None to train all weights."""
    if options.r == 0:
        return None
    modules = options.target_modules
    return LoraConfig(
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=modules[0] if modules == ("all-linear",) else list(modules),
        task_type="CAUSAL_LM",
    )


def save_final(trainer: EnvGRPOTrainer, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save model and tokenizer so that `model=FOLDER` loads them; adapters are merged into the weights for good."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
