"""The embedded model: small enough to ship in the package and to learn on two cores."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

FOLDER = Path(__file__).parent
"""Where the model's files are."""


def load_embedded(dtype: torch.dtype = torch.float32) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a fresh copy of the model on the CPU, in evaluation mode, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=dtype)
    return model, AutoTokenizer.from_pretrained(FOLDER)
