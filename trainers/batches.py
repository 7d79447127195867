"""The trainer's tensor batches: leaving out what is unscored, and giving every row its due weight."""

from collections.abc import Mapping

import torch
from torch import Tensor

Batch = dict[str, Tensor]
"""Tensors by name: one row per episode, or no axis at all for what holds for the whole batch."""

SCORED = "scored"
"""(B,), whether the episode has a reward."""
MEAN_SCORED = "mean_scored"
"""Scored episodes per micro-batch and process, on average over the generation batch."""


def scored_rows(batch: Mapping[str, Tensor]) -> tuple[Batch, float]:
    """Return the scored rows, and the weight of their mean in the loss: 1 when nothing was left out.

    A micro-batch weighs as much as its share of the scored episodes, so that each of them counts the same wherever it
    fell. Without any, one row stays, of which no token counts, and the weight is 0: processes have to keep step.
    """
    scored = batch[SCORED]
    count = int(scored.sum())
    if count == len(scored):
        kept = dict(batch)
    else:
        rows = scored.nonzero().squeeze(1) if count else torch.zeros(1, dtype=torch.long, device=scored.device)
        kept = {name: tensor if tensor.ndim == 0 else tensor[rows] for name, tensor in batch.items()}
    if count == 0:
        kept["tool_mask"] = torch.zeros_like(kept["tool_mask"])
    return without_padding(kept), count / max(float(batch[MEAN_SCORED]), 1e-9)


def without_padding(batch: Batch) -> Batch:
    """Cut the columns that are padding in every row: prompts are padded on the left, completions on the right."""
    prompt, completion = (int(batch[name].sum(dim=1).max()) for name in ("prompt_mask", "completion_mask"))
    width = batch["completion_ids"].shape[1]
    cut = {name: batch[name][:, -prompt:] for name in ("prompt_ids", "prompt_mask")}
    if completion < width:
        wide = {name for name, tensor in batch.items() if tensor.ndim == 2 and tensor.shape[1] == width} - cut.keys()
        cut |= {name: batch[name][:, :completion] for name in wide}
    return batch | cut
