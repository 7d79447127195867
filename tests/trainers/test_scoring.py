import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from trainers.scoring import can_share_prompts, shared_scores


@pytest.fixture
def batch():
    """Two prompts of unlike length with three and five completions of unlike lengths, padded as TRL pads."""
    draw = torch.Generator().manual_seed(0)
    prompts = [torch.randint(2, 32, (length,), generator=draw) for length in (6, 3)]
    ids, mask = torch.zeros(12, 16, dtype=torch.long), torch.zeros(12, 16, dtype=torch.long)
    for row, length in enumerate([1, 4, 10, 2, 7, 3, 5, 9, 1, 2, 6, 8]):
        prompt = prompts[row % 2]
        both = torch.cat([prompt, torch.randint(2, 32, (length,), generator=draw)])
        start = 6 - len(prompt)
        ids[row, start : start + len(both)] = both
        mask[row, start : start + len(both)] = 1
    return ids, mask


def whole_pass(model, ids, mask, completion, temperature):
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -completion - 1 : -1] / temperature
    logprobs = torch.log_softmax(logits, dim=-1)
    scores = logprobs.gather(-1, ids[:, -completion:].unsqueeze(-1)).squeeze(-1)
    return scores * mask[:, -completion:], -(logprobs.exp() * logprobs).sum(-1) * mask[:, -completion:]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sharing_prompts_gives_scores_entropies_and_gradients_of_one_padded_pass(make_model, batch, temperature):
    model, (ids, mask) = make_model(), batch
    weights = torch.rand(12, 10)
    results = []
    for score in (shared_scores, whole_pass):
        model.zero_grad()
        scores, entropies = score(model, ids, mask, completion=10, temperature=temperature)
        (scores * weights).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append((scores.detach(), entropies.detach(), gradient))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_one_token_for_each_completion_needs_the_prompts_alone(make_model, batch):
    model, (ids, mask) = make_model(), batch
    scores, _ = shared_scores(model, ids[:, :7], mask[:, :7], completion=1, temperature=1.0)
    torch.testing.assert_close(scores, whole_pass(model, ids[:, :7], mask[:, :7], 1, 1.0)[0])


def test_models_of_other_attention_great_vocabularies_and_checkpointing_keep_to_trl(make_model):
    model = make_model()
    assert can_share_prompts(model, rows=64, completion=200)
    assert not can_share_prompts(model, rows=64, completion=1 << 20)
    model.config.layer_types = ["sliding_attention", "full_attention"]
    assert not can_share_prompts(model, rows=64, completion=200)
    checkpointing = make_model()
    checkpointing.gradient_checkpointing_enable()
    assert not can_share_prompts(checkpointing, rows=64, completion=200)
    unknown = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=8, n_layer=1, n_head=1, n_positions=16))
    assert not can_share_prompts(unknown, rows=64, completion=200)
    assert not can_share_prompts(torch.nn.Linear(1, 1), rows=64, completion=200)


@pytest.mark.parametrize("changes", [{"entropy_coef": 0.01}, {"gradient_checkpointing": True}])
def test_what_only_trl_computes_is_left_to_it(make_trainer, changes):
    trainer = make_trainer(**changes)
    trainer.train()
    assert trainer.state.log_history[0]["sampling/sampling_logp_difference/max"] < 1e-4
