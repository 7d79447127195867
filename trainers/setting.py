"""A configuration turned into what TRL and PEFT take, and the model that a run leaves behind."""

from pathlib import Path

from peft import LoraConfig, PeftModel
from transformers import PreTrainedTokenizerBase
from trl.trainer.grpo_config import GRPOConfig

from sandboxes import UsageError
from trainers.config import PeftOptions, TrainConfig
from trainers.defaults import trl_values
from trainers.folder import RunFolder
from trainers.trainer import EnvGRPOTrainer


def arguments_of(config: TrainConfig, folder: RunFolder) -> GRPOConfig:
    """Return TRL's configuration.

    Raises:
        UsageError: TRL refuses a value, or two that do not go together.
    """
    try:
        return GRPOConfig(
            **{
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
