"""Loading a policy and its tokenizer: the embedded model, a folder, or a name on the Hugging Face hub.

What can be said without a download is said before one is tried.
"""

import difflib
import os
import re
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from agents.embedded import load_embedded
from sandboxes.errors import UsageError

EMBEDDED = "embedded"
"""The name of the model that ships with the package."""


def load_model(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return model and tokenizer: float32 on the CPU, in evaluation mode.

    Raises:
        UsageError: there is no such folder, no model in it, no such name on the hub, or no chat template.
    """
    if name == EMBEDDED:
        return load_embedded()
    place = _place(name)
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


def _place(name: str) -> str:
    """Return the folder or hub name that `name` means, having checked what can be checked without a download."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise UsageError(f"model={name}: the folder holds no config.json, so no model was saved there")
        return str(path)
    if path.exists():
        raise UsageError(f"model={name}: is a file; give the folder that the model was saved in")
    if _looks_like_path(name):
        raise UsageError(f"model={name}: there is no such folder")
    if difflib.get_close_matches(name, [EMBEDDED], cutoff=0.8):
        raise UsageError(f"model={name}: did you mean {EMBEDDED!r}?")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise UsageError(f"model={name}: neither a folder nor a hub name, as in Qwen/Qwen3-0.6B")
    return name


def _looks_like_path(name: str) -> bool:
    """A name on the hub has one slash at most, and what stands before it is no folder here."""
    if name.startswith((".", "~", os.sep)) or name.endswith(os.sep) or name.count(os.sep) > 1:
        return True
    return os.sep in name and Path(name).parent.is_dir()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
