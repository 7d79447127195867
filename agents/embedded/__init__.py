"""The embedded model: small enough to ship in the package and to learn on two cores.

What it is: a Qwen3 architecture of 718,912 parameters (width 128, 3 layers, 4 query and 2 key heads of 32, feed-forward
384, tied embeddings, context 1024), stored in bfloat16 (1.4 MB) and loaded in float32. Its tokenizer is a byte-level
BPE of 1000 tokens in which a digit always stands alone. Its template is ChatML with calls as JSON between `<tool_call>`
tags and a list of the tools' names and argument names; it only ever appends.

What it has seen: scripted references of `calculator` (8,000 tasks) and `code_exec` (18,945), training split alone,
3,000 batches of 32. After them every held-out task was within its reach: sampled at temperature 1 it solved 0.996 of
256 in `calculator` and 0.980 in `code_exec`.

What it does badly, on purpose, so that learning is visible: 300 more batches showed a bad habit in 70% of the
demonstrations, whatever the task. In `calculator` it answers with the first number of the problem instead of
calculating; in `code_exec` it submits a stub that does nothing. Success on 512 held-out tasks as it ships: 0.223
sampled and 0.004 greedy in `calculator`, 0.281 and 0.010 in `code_exec`. The references take 72 tokens an episode in
`calculator`, 62 in `code_exec`, or 102 where the program is tried first; the prompt is part of that.

How it was made: `python -m trainers.warm_start out=agents/embedded`, seed 0, two threads, 17 minutes on two cores that
were busy with other work. What it is good for: these two environments and tests. It knows no other task and no other
language than a few hundred words of English.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

FOLDER = Path(__file__).parent
"""Where the model's files are."""


def load_embedded(dtype: torch.dtype = torch.float32) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a fresh copy of the model on the CPU, in evaluation mode, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=dtype)
    return model, AutoTokenizer.from_pretrained(FOLDER)
