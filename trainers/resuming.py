"""Where training stands beyond what transformers keeps: so that a resumed run repeats an unbroken one.

TRL 1.16 plays a batch for several steps at once if so configured, but forgets on resume both the batch and the count
that says how much of it is used.
"""

from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.grpo_trainer import GRPOTrainer


def save_position(trainer: GRPOTrainer, output_dir: str) -> None:
    """Write this process's position into the checkpoint of the present step: the last file to be written of it."""
    folder = Path(output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.global_step}"
    position = {
        "step": trainer._step,
        "buffered": trainer._buffered_inputs if _mid_batch(trainer) else None,
        "metrics": {name: list(values) for name, values in trainer._metrics["train"].items()},
    }
    target = folder / _file(trainer)
    partial = target.with_suffix(".partial")
    torch.save(position, partial)
    partial.rename(target)


def load_position(trainer: GRPOTrainer, checkpoint: str) -> None:
    """Take the position up again.

    Raises:
        FileNotFoundError: the checkpoint is incomplete, or another number of processes wrote it.
    """
    path = Path(checkpoint) / _file(trainer)
    if not path.exists():
        raise FileNotFoundError(f"{path}: the checkpoint is incomplete, or was written by fewer processes")
    position: dict[str, Any] = torch.load(path, map_location=trainer.accelerator.device, weights_only=True)
    trainer._step = position["step"]
    trainer._buffered_inputs = position["buffered"]
    trainer._metrics["train"].update(position["metrics"])


def last_checkpoint(output_dir: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, or None."""
    found = output_dir.glob(f"{PREFIX_CHECKPOINT_DIR}-*/position-0.pt")
    return max((path.parent for path in found), key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def _file(trainer: GRPOTrainer) -> str:
    return f"position-{trainer.accelerator.process_index}.pt"


def _mid_batch(trainer: GRPOTrainer) -> bool:
    batches = len(trainer._buffered_inputs or ())
    return bool(trainer._step % max(batches * trainer.num_iterations, 1))
