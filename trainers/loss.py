"""The loss side of the trainer: unscored rows leave no trace, the sampler's log-probabilities are corrected for.

TRL 1.16 computes every loss itself; here the batch it is given is made right, and the weight of its result.
"""

from typing import Any

import torch
from torch import Tensor
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from trainers.batches import MEAN_SCORED, SCORED, Batch, scored_rows, without_padding
from trainers.checks import correction_of
from trainers.importance import mismatch
from trainers.scoring import can_share_prompts, shared_scores

_PER_TOKEN_LOSSES = frozenset({"cispo", "dapo", "vespo"})
"""Losses that TRL divides by the number of sampled tokens of the whole generation batch, not by rows."""


class CorrectedLossTrainer(GRPOTrainer):
    """GRPO on batches that say which rows are scored (`trainers.batches`). Takes TRL's arguments."""

    args: GRPOConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._in_loss: Batch | None = None
        self._scored_in_window = 0
        super().__init__(*args, **kwargs)
        self._correction = correction_of(self.args)
        self._is_alone = self.accelerator.num_processes == 1

    def _compute_loss(self, model: Any, inputs: Batch) -> Tensor:
        # TRL 1.16 gathers a figure for each row, so that several processes need as many rows each: there the tokens of
        # unscored rows are silent, and that is all.
        rows = self._in_loss = without_padding(scored_rows(inputs) if self._is_alone else inputs)
        self._scored_in_window += int(inputs[SCORED].sum())
        try:
            loss: Tensor = super()._compute_loss(model, rows)  # type: ignore[no-untyped-call]  # TRL's has no types
        finally:
            self._in_loss = None
        return loss * self._weight(rows)

    def _weight(self, rows: Batch) -> float:
        """Return what makes each scored episode count the same, in whatever micro-batch it fell: 1 if none is unscored.

        TRL divides by the rows of the micro-batch, or by its tokens (`bnpo`), where it should be their mean over the
        generation batch.
        """
        scored = int(rows[SCORED].sum())
        if self.loss_type in _PER_TOKEN_LOSSES or scored == 0:
            return 1.0
        return (scored if self.loss_type == "bnpo" else len(rows[SCORED])) / float(rows[MEAN_SCORED])

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Score the completions, (B, C), sharing prompts where that gives what TRL's own pass gives."""
        result: tuple[Tensor, Tensor | None, Tensor | None]
        if self._shares_prompts(model, len(input_ids), logits_to_keep):
            with self.accelerator.autocast():
                logps, entropies = shared_scores(
                    model, input_ids, attention_mask, completion=logits_to_keep, temperature=self.temperature
                )
            result = logps, entropies, None
        else:
            result = super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, **options
            )
        if self._in_loss is not None:
            self._correct(self._in_loss, result[0].detach())
        return result

    def _shares_prompts(self, model: Any, rows: int, completion: int) -> bool:
        # A bonus on entropy needs its gradient, a balance of experts the router's logits: only TRL's pass has them.
        plain = not (self.aux_loss_enabled or self._entropy_bonus_enabled or self.args.cast_lm_head_to_fp32)
        return plain and self.accelerator.num_processes == 1 and can_share_prompts(model, rows, completion)

    def _correct(self, rows: Batch, logps: Tensor) -> None:
        """Weigh the advantages by what the policy that sampled says to the sampler's log-probabilities.

        Without `old_per_token_logps` the update is the first after sampling, so the policy that sampled is the one in
        hand, and its log-probabilities are those of the loss: no further forward pass. The sampler's do not stand in
        for it: the clipping of the policy ratio would then cut for mere numerical noise, on top of the correction.
        """
        old = rows.get("old_per_token_logps", logps)
        sampled, mask = rows["sampling_per_token_logps"], rows["completion_mask"] * rows["tool_mask"]
        self._record_mismatch(*mismatch(old, sampled, mask))
        if self._correction is None:
            return
        ratio = self._correction.ratio(old, sampled, mask)
        self._record_ratio(ratio if ratio.shape[1] == 1 else ratio[mask.bool()])
        # TRL 1.16 reads both entries after its forward pass; VESPO takes the ratio itself, the others are linear in the
        # advantage, which may be (B, T).
        if self.loss_type == "vespo":
            rows["importance_sampling_ratio"] = ratio
        else:
            rows["advantages"] = rows["advantages"].unsqueeze(1) * ratio

    def _record_mismatch(self, mean: float, greatest: float) -> None:
        """Log under TRL's names what it logs for vLLM; the greatest difference is that since the last log line."""
        metrics = self._metrics["train"]
        means, maxima = self.accelerator.gather(torch.tensor([[mean, greatest]], device=self.accelerator.device)).T
        metrics["sampling/sampling_logp_difference/mean"].append(means.mean().item())
        name = "sampling/sampling_logp_difference/max"
        metrics[name] = [max([maxima.max().item(), *metrics[name]])]

    def _record_ratio(self, ratio: Tensor) -> None:
        ratio = ratio if ratio.numel() else torch.ones(1, device=ratio.device)
        for name, value in (("min", ratio.min()), ("mean", ratio.mean()), ("max", ratio.max())):
            gathered = self.accelerator.gather(value).mean().item()
            self._metrics["train"][f"sampling/importance_sampling_ratio/{name}"].append(gathered)
