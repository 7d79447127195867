"""Loading a policy and its tokenizer: the embedded model, a folder, or a name on the Hugging Face hub."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from agents.embedded import load_embedded
from agents.model_names import EMBEDDED, check_model_name
from sandboxes.errors import UsageError


def load_model(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return model and tokenizer: float32 on the CPU, in evaluation mode.

    Raises:
        UsageError: there is no such folder, no model in it, no such name on the hub, or no chat template.
    """
    if name == EMBEDDED:
        return load_embedded()
    check_model_name(name)
    path = Path(name).expanduser()
    place = path if path.is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    except (OSError, ValueError) as error:
        # transformers raises OSError for files it cannot find, here or on the hub, and ValueError for what it cannot
        # read as a causal language model.
        raise UsageError(f"model={name}: cannot be loaded: {_first_line(error)}") from error
    if not tokenizer.chat_template:
        raise UsageError(
            f"model={name}: its tokenizer has no chat template, so it cannot hold a conversation; choose an "
            "instruction-tuned model, or put a chat_template.jinja into its folder"
        )
    return model, tokenizer


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
