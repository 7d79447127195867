"""The trainer's tensor batches: leaving out rows that are unscored, and columns that are padding."""

from collections.abc import Mapping

import torch
from torch import Tensor

Batch = dict[str, Tensor]
"""Tensors by name: one row per episode, or no axis at all for what holds for the whole batch."""

SCORED = "scored"
"""(B,), whether the episode has a reward."""
MEAN_SCORED = "mean_scored"
"""Scored episodes per micro-batch and process, on average over the generation batch."""


def scored_rows(batch: Mapping[str, Tensor]) -> Batch:
    """Return the scored rows; without any, the first row, of which no token counts."""
    scored = batch[SCORED]
    if bool(scored.all()):
        return dict(batch)
    rows = scored.nonzero().squeeze(1) if bool(scored.any()) else torch.zeros(1, dtype=torch.long, device=scored.device)
    return {name: tensor if tensor.ndim == 0 else tensor[rows] for name, tensor in batch.items()}


def without_padding(batch: Mapping[str, Tensor]) -> Batch:
    """Cut the columns that are padding in every row: prompts are padded on the left, completions on the right."""
    prompt, completion = (int(batch[name].sum(dim=1).max()) for name in ("prompt_mask", "completion_mask"))
    width = batch["completion_ids"].shape[1]
    cut = {name: batch[name][:, -prompt:] for name in ("prompt_ids", "prompt_mask")}
    if completion < width:
        wide = {name for name, tensor in batch.items() if tensor.ndim == 2 and tensor.shape[1] == width} - cut.keys()
        cut |= {name: batch[name][:, :completion] for name in wide}
    return {**batch, **cut}
