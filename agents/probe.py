"""Trying a model before it is trusted: rows of different lengths must give what each gives alone."""

import torch
from torch import nn

from agents.decoder import Decoder

_TOLERANCE = 0.1
"""Mean difference of logits, in units of their standard deviation: above what bfloat16 rounds, far below a fault's."""


@torch.inference_mode()
def check(model: nn.Module) -> None:
    """Play two short rows in two passes and compare with plain passes over each.

    Raises:
        ValueError: the model fails on the engine's cache, or gives something else on it.
    """
    name = type(model).__name__
    # Far apart in length, so that a model which counts padding as positions is found out.
    rows = [[1 + k % 20 for k in range(32)], [7, 5, 3, 2, 11, 13]]
    decoder = Decoder(model)
    device = next(model.parameters()).device
    try:
        decoder.forward(0, [0, 0], [rows[0][:16], rows[1][:3]])
        found = decoder.forward(0, [16, 3], [rows[0][16:], rows[1][3:]])
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError, KeyError) as error:
        raise ValueError(f"{name} does not run on the engine's key/value cache: {error}") from error
    plain = torch.stack([model(input_ids=torch.tensor([row], device=device)).logits[0, -1] for row in rows])
    difference = (found.float() - plain.float()).abs().mean() / plain.float().std()
    if not difference <= _TOLERANCE:
        raise ValueError(
            f"{name} gives other logits on the engine's key/value cache than without (by {difference:.2g} standard "
            "deviations): it does not follow attention_mask and position_ids as given, so the engine cannot run it"
        )
