"""Correction for what the sampler and the trainer compute differently: importance ratios from log-probabilities."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


@dataclass(frozen=True, slots=True)
class ImportanceCorrection:
    """Truncated or masked importance sampling, per token or per sequence, as TRL 1.16 applies it under `use_vllm`.

    *Truncate* clamps a ratio into [`lowest`, `highest`]; *mask* sets one outside of it to 0. None leaves a side open.
    """

    mode: Mode
    lowest: float | None
    highest: float | None

    def ratio(self, logprobs: Tensor, sampled: Tensor, mask: Tensor) -> Tensor:
        """Return exp(logprobs - sampled), bounded: (B, T), or (B, 1) for whole sequences.

        Args:
            logprobs: (B, T), the trainer's, of the policy that sampled.
            sampled: (B, T), the sampler's; NaN where it has none, which counts as no difference.
            mask: (B, T), 1 on the tokens that were sampled; elsewhere the ratio is 1.
        """
        difference = torch.nan_to_num((logprobs - sampled) * mask, nan=0.0)
        if self.mode.startswith("sequence"):
            difference = difference.sum(dim=-1, keepdim=True)
        ratio = torch.exp(difference)
        if self.mode.endswith("truncate"):
            return ratio if self.lowest is None and self.highest is None else ratio.clamp(self.lowest, self.highest)
        outside = torch.zeros_like(ratio, dtype=torch.bool)
        if self.lowest is not None:
            outside |= ratio < self.lowest
        if self.highest is not None:
            outside |= ratio > self.highest
        return ratio.masked_fill(outside, 0.0)


def mismatch(logprobs: Tensor, sampled: Tensor, mask: Tensor) -> tuple[float, float]:
    """Return the mean and the greatest absolute difference of two (B, T) log-probabilities where `mask` is 1."""
    difference = (logprobs - sampled).abs()[mask.bool()]
    difference = difference[~difference.isnan()]
    if difference.numel() == 0:
        return 0.0, 0.0
    return difference.mean().item(), difference.max().item()
