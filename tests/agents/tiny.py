"""Tiny tokenizers and models, made on the spot."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
TAGS = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"]
VOCABULARY = 300


def make_tokenizer(template: str = "qwen3_training", *, end: str = "<|im_end|>", more: tuple[str, ...] = ()) -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={byte: index for index, byte in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|begin_of_text|>",
        eos_token=end,
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *more],
    )
    tokenizer.add_tokens(TAGS)
    tokenizer.chat_template = (TEMPLATES / f"{template}.jinja").read_text()
    return tokenizer


_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_SHAPE)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SHAPE)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=512)),
    "gemma3, sliding and full": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**_SHAPE, sliding_window=16, layer_types=["sliding_attention", "full_attention"])
    ),
    "mistral, sliding": lambda: MistralForCausalLM(MistralConfig(**_SHAPE, sliding_window=16)),
}


def make_model(name: str = "qwen3") -> PreTrainedModel:
    torch.manual_seed(3)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)  # a fresh model is nearly uniform; a peaked one tells more
    model.generation_config.eos_token_id = None
    return model.eval()


async def later(chance: random.Random) -> None:
    """Let some others go first."""
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0)
