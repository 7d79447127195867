"""Sampling: one id for each row of logits, by the row's own uniform number, and its log-probability.

The inverse of the cumulative distribution takes one number for a token, so a request's draws depend on its seed and on
its own logits alone. Log-probabilities are those of the distribution sampled from: temperature applied, and top-p
where there is one. Greedy rows (temperature 0) give those of temperature 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Choice:
    """How one row is sampled."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """In (0, 1]; 1 keeps all."""


def sample(logits: torch.Tensor, choices: Sequence[Choice], uniforms: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return ids and log-probabilities of rows of `logits` [rows, vocabulary]; `uniforms` are in [0, 1)."""
    logprobs = torch.log_softmax(_scaled(logits.float(), choices), dim=-1)
    ids = _invert(logprobs, torch.tensor(uniforms, dtype=torch.float32, device=logits.device))
    greedy = [choice.temperature == 0 for choice in choices]
    if any(greedy):
        ids = torch.where(torch.tensor(greedy, device=logits.device)[:, None], logits.argmax(-1, keepdim=True), ids)
    return ids.squeeze(-1).tolist(), logprobs.gather(-1, ids).squeeze(-1).tolist()


def _scaled(logits: torch.Tensor, choices: Sequence[Choice]) -> torch.Tensor:
    temperatures = [choice.temperature or 1.0 for choice in choices]
    if any(temperature != 1.0 for temperature in temperatures):
        logits = logits / torch.tensor(temperatures, dtype=logits.dtype, device=logits.device)[:, None]
    top_ps = [choice.top_p if choice.temperature else 1.0 for choice in choices]
    if any(top_p < 1.0 for top_p in top_ps):
        logits = _nucleus(logits, torch.tensor(top_ps, dtype=logits.dtype, device=logits.device))
    return logits


def _nucleus(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Keep the fewest ids whose probabilities reach `top_p` [rows]; the rest get minus infinity."""
    ordered, order = logits.softmax(-1).sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    dropped = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p[:, None])
    return torch.where(dropped & (top_p < 1.0)[:, None], -torch.inf, logits)


def _invert(logprobs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Return ids [rows, 1] where the cumulative distribution first exceeds each uniform number."""
    cumulative = logprobs.exp().cumsum(-1)
    total = cumulative[:, -1:]
    # Rounding may bring the product to the total itself, beyond the last id of positive probability.
    target = torch.minimum(uniforms[:, None], torch.tensor(1 - 2**-23)) * total
    return torch.searchsorted(cumulative, target, right=True).clamp_max(logprobs.shape[-1] - 1)
