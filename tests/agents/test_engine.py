"""The embedded engine: exact log-probabilities, its own seed for each request, a turn costs only its new tokens."""

import asyncio
import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import MambaConfig, MambaForCausalLM, Qwen3ForCausalLM, T5Config, T5ForConditionalGeneration

from agents.base import AgentError, Generation, Prompt
from agents.engine import TransformersAgent
from envs import Message
from tests.agents.tiny import MODELS, later, make_model, make_tokenizer

TOOLS: list[dict[str, Any]] = []


def opening(text: str, *, tokens: int = 12, seed: int = 0, episode: str = "") -> Prompt:
    messages = (Message.user(text),)
    return Prompt(messages, TOOLS, (), messages, tokens, seed, episode)


def following(last: Generation, text: str, *, tokens: int = 12, seed: int = 0, episode: str = "") -> Prompt:
    new = (Message.user(text),)
    return Prompt(new, TOOLS, last.prompt_ids + last.completion_ids, new, tokens, seed, episode)


def expected_logprobs(model: Any, generation: Generation, temperature: float = 1.0) -> torch.Tensor:
    ids = torch.tensor([generation.prompt_ids + generation.completion_ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(generation.prompt_ids) - 1 : -1].float()
    logprobs = torch.log_softmax(logits / temperature, -1)
    return logprobs.gather(-1, torch.tensor(generation.completion_ids)[:, None])[:, 0]


def assert_exact(model: Any, generation: Generation, temperature: float = 1.0) -> None:
    expected = expected_logprobs(model, generation, temperature)
    torch.testing.assert_close(torch.tensor(generation.logprobs), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", MODELS)
async def test_logprobs_are_those_of_a_plain_forward_pass_over_several_ragged_turns(name, tokenizer):
    model = make_model(name)
    agent = TransformersAgent(model, tokenizer)

    async def play(index: int) -> list[Generation]:
        texts = ["hello " * (index + 1), "more" * index, "last"]
        turns: list[Generation] = []
        for turn, text in enumerate(texts):
            word = f"e{index}"
            tokens = 5 + 4 * index
            prompt = (
                following(turns[-1], text, tokens=tokens, seed=turn, episode=word)
                if turns
                else opening(text, tokens=tokens, seed=index, episode=word)
            )
            turns.append(await agent.act(prompt))
        return turns

    for turns in await asyncio.gather(*map(play, range(6))):
        for generation in turns:
            assert_exact(model, generation)
    await agent.close()


@pytest.mark.parametrize("temperature", [0.5, 1.7])
async def test_logprobs_are_those_of_the_temperature_sampled_at(temperature, model, tokenizer):
    agent = TransformersAgent(model, tokenizer, temperature=temperature)
    assert_exact(model, await agent.act(opening("hello")), temperature)


async def test_the_greedy_choice_is_that_of_generate(model, tokenizer):
    agent = TransformersAgent(model, tokenizer, temperature=0)
    generations = await asyncio.gather(*(agent.act(opening("word " * n, tokens=30)) for n in range(1, 8)))
    for generation in generations:
        ids = torch.tensor([generation.prompt_ids])
        plain = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=30,
            do_sample=False,
            eos_token_id=sorted(agent.codec.stop_ids),
            pad_token_id=0,
        )
        assert tuple(plain[0, ids.shape[1] :].tolist()) == generation.completion_ids
        assert_exact(model, generation)


async def test_the_same_seed_gives_the_same_tokens_alone_and_among_twenty_others(model, tokenizer):
    async def play(agent: TransformersAgent, seed: int) -> list[tuple[int, ...]]:
        first = await agent.act(opening(f"task {seed}", tokens=20, seed=seed, episode=str(seed)))
        second = await agent.act(following(first, "go on", tokens=20, seed=seed + 1, episode=str(seed)))
        return [first.completion_ids, second.completion_ids]

    alone = TransformersAgent(model, tokenizer)
    expected = [await play(alone, seed) for seed in range(21)]
    for order in (1, 2):
        chance = random.Random(order)
        crowd = TransformersAgent(model, tokenizer, max_batch=7)

        async def arrive(seed: int, chance: random.Random = chance, crowd: TransformersAgent = crowd) -> Any:
            await later(chance)
            return await play(crowd, seed)

        seeds = chance.sample(range(21), 21)
        got = dict(zip(seeds, await asyncio.gather(*map(arrive, seeds)), strict=True))
        assert [got[seed] for seed in range(21)] == expected


async def test_different_seeds_give_different_tokens(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    found = await asyncio.gather(*(agent.act(opening("same", seed=seed)) for seed in range(5)))
    assert len({generation.completion_ids for generation in found}) == 5


async def test_a_turn_costs_only_its_new_tokens(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    first = await agent.act(opening("a long story " * 10, episode="e"))
    before = agent.tokens_processed
    second = await agent.act(following(first, "and?", episode="e"))
    new = len(second.prompt_ids) - len(first.prompt_ids) - len(first.completion_ids)
    # The last token sampled was never given to the model, neither in the first turn nor in the second.
    assert agent.tokens_processed - before == 1 + new + len(second.completion_ids) - 1
    assert agent.tokens_sampled == len(first.completion_ids) + len(second.completion_ids)


async def test_a_forgotten_episode_is_computed_anew_to_the_same_tokens(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    first = await agent.act(opening("a long story " * 10, episode="e"))
    kept = await agent.act(following(first, "and?", episode="e"))
    await agent.act(opening("a long story " * 10, episode="e"))
    agent.forget("e")
    agent.forget("never heard of")
    before = agent.tokens_processed
    anew = await agent.act(following(first, "and?", episode="e"))
    assert anew.completion_ids == kept.completion_ids
    assert anew.logprobs == pytest.approx(kept.logprobs, abs=1e-5)
    assert agent.tokens_processed - before == len(anew.prompt_ids) + len(anew.completion_ids) - 1


async def test_a_rewritten_prefix_keeps_only_what_it_shares(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    await agent.act(opening("the same beginning, then one", episode="e"))
    assert_exact(model, await agent.act(opening("the same beginning, then two", episode="e")))


async def test_after_an_optimiser_step_old_keys_and_values_are_not_used(tokenizer):
    model = make_model()
    agent = TransformersAgent(model, tokenizer)
    first = await agent.act(opening("hello", episode="e"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    second = await agent.act(following(first, "go on", episode="e"))
    assert_exact(model, second)


async def test_dropping_the_caches_changes_no_result(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    first = await agent.act(opening("hello", episode="e"))
    agent.drop_caches()
    assert_exact(model, await agent.act(following(first, "go on", episode="e")))


async def test_a_cancelled_request_frees_its_row_and_harms_nobody(model, tokenizer):
    agent = TransformersAgent(model, tokenizer, max_batch=2)
    alone = await agent.act(opening("keep", tokens=40, seed=1))
    endless = [asyncio.create_task(agent.act(opening("x", tokens=400, seed=s, episode=f"c{s}"))) for s in range(4)]
    kept = asyncio.create_task(agent.act(opening("keep", tokens=40, seed=1)))
    await asyncio.sleep(0.02)
    for task in endless:
        task.cancel()
    assert (await asyncio.gather(*endless, return_exceptions=True)).count(None) == 0
    assert all(task.cancelled() for task in endless)
    assert (await kept).completion_ids == alone.completion_ids
    await agent.close()
    assert not agent._batch.running
    assert not len(agent._batch.parked)


async def test_a_failing_model_fails_those_who_wait_and_the_next_request_starts_anew(tokenizer):
    model = make_model()
    agent = TransformersAgent(model, tokenizer, max_batch=2)
    good = await agent.act(opening("hello"))
    norm, model.model.norm = model.model.norm, torch.nn.Linear(1, 1)
    results = await asyncio.gather(*(agent.act(opening("hello")) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, AgentError) and "the model failed" in str(result) for result in results)
    model.model.norm = norm
    assert await agent.act(opening("hello")) == good


async def test_weights_that_have_diverged_are_an_error_and_leave_nothing_behind(tokenizer):
    model = make_model()
    agent = TransformersAgent(model, tokenizer)
    weight = model.model.norm.weight
    good = await agent.act(opening("hello"))
    with torch.no_grad():
        old = weight.clone()
        weight.fill_(float("nan"))
    with pytest.raises(AgentError, match="not numbers"):
        await agent.act(opening("hello"))
    with torch.no_grad():
        weight.copy_(old)
    assert await agent.act(opening("hello")) == good


async def test_a_prompt_beyond_the_context_is_an_error_in_words(model, tokenizer):
    agent = TransformersAgent(model, tokenizer, max_context=40)
    with pytest.raises(AgentError, match="context of 40 has no room"):
        await agent.act(opening("x" * 100))


async def test_the_end_of_the_context_ends_a_message_by_length(model, tokenizer):
    agent = TransformersAgent(model, tokenizer, max_context=50)
    generation = await agent.act(opening("hello", tokens=400, seed=2))
    assert generation.finish_reason == "length"
    assert len(generation.prompt_ids) + len(generation.completion_ids) == 50


async def test_a_stop_token_ends_the_turn_and_belongs_to_it(tokenizer):
    model = make_model()
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    class Ends(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            logits = torch.full((*hidden.shape[:-1], 300), -50.0)
            logits[..., end] = 50.0
            return logits

    model.lm_head = Ends()
    generation = await TransformersAgent(model, tokenizer).act(opening("hello"))
    assert generation.completion_ids == (end,)
    assert generation.message == Message.assistant("")
    assert generation.finish_reason == "stop"


async def test_a_view_at_another_temperature_shares_model_and_count(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    greedy = agent.with_temperature(0)
    one, other = await asyncio.gather(greedy.act(opening("hello", seed=1)), greedy.act(opening("hello", seed=2)))
    assert one.completion_ids == other.completion_ids
    sampled = await agent.act(opening("hello", seed=1))
    assert sampled.completion_ids != one.completion_ids
    assert agent.tokens_sampled == greedy.tokens_sampled == 36


async def test_long_prompts_are_taken_in_pieces_to_the_same_result(model, tokenizer, monkeypatch):
    agent = TransformersAgent(model, tokenizer)
    whole = await agent.act(opening("long " * 40))
    monkeypatch.setattr("agents.decoder._MAX_CHUNK", 16)
    pieces = await TransformersAgent(model, tokenizer).act(opening("long " * 40))
    assert pieces.completion_ids == whole.completion_ids


async def test_the_model_is_handed_back_in_the_mode_it_was_in(tokenizer):
    model = make_model("gpt2").train()
    model.transformer.ln_f.eval()
    agent = TransformersAgent(model, tokenizer)
    generation = await agent.act(opening("hello"))
    await agent.close()
    assert model.training
    assert not model.transformer.ln_f.training
    assert_exact(model.eval(), generation)


async def test_a_closed_agent_says_so_and_closes_twice(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    running = asyncio.create_task(agent.act(opening("x", tokens=400)))
    await asyncio.sleep(0.01)
    await agent.close()
    with pytest.raises(AgentError, match="closed while"):
        await running
    await agent.close()
    with pytest.raises(AgentError, match="is closed"):
        await agent.act(opening("hello"))


def test_one_agent_serves_one_event_loop_after_another(model, tokenizer):
    agent = TransformersAgent(model, tokenizer)
    first = asyncio.run(agent.act(opening("hello")))

    async def broken_off() -> None:
        await asyncio.wait_for(agent.act(opening("x", tokens=450)), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(broken_off())
    assert asyncio.run(agent.act(opening("hello"))) == first


@pytest.mark.parametrize(
    "options", [{"max_batch": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_options_out_of_range_are_refused(options, model, tokenizer):
    with pytest.raises(ValueError, match=next(iter(options))):
        TransformersAgent(model, tokenizer, **options)


def test_models_that_keep_another_state_are_refused_by_name():
    tokenizer = make_tokenizer()
    mamba = MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1))
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=300, d_model=16, d_ff=16, num_layers=1, num_heads=2))
    flash, chunked = make_model(), make_model()
    flash.config._attn_implementation = "flash_attention_2"
    chunked.config.layer_types = ["full_attention", "chunked_attention"]
    for model in (mamba, t5, flash, chunked):
        with pytest.raises(ValueError, match=type(model).__name__):
            TransformersAgent(model, tokenizer)


class IgnoresPositions(Qwen3ForCausalLM):
    def forward(self, input_ids: Any, position_ids: Any = None, **others: Any) -> Any:  # type: ignore[override]
        return super().forward(input_ids=input_ids, **others)


class TakesNoCache(Qwen3ForCausalLM):
    def forward(self, input_ids: Any, position_ids: Any = None) -> Any:  # type: ignore[override]
        return super().forward(input_ids=input_ids)


class TakesNoPositions(Qwen3ForCausalLM):
    def forward(self, input_ids: Any, **others: Any) -> Any:  # type: ignore[override]
        return super().forward(input_ids=input_ids)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (IgnoresPositions, "gives other logits"),
        (TakesNoCache, "does not run on the engine's"),
        (TakesNoPositions, "takes no position_ids"),
    ],
)
def test_a_model_that_would_be_run_wrongly_is_refused(kind, reason, model, tokenizer):
    wrong = kind(model.config)
    wrong.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=f"{kind.__name__}.*{reason}"):
        TransformersAgent(wrong.eval(), tokenizer)


async def test_parked_episodes_beyond_the_memory_for_them_are_computed_anew(tokenizer, model, monkeypatch):
    monkeypatch.setattr("agents.engine._MAX_PARKED_BYTES", 1)
    agent = TransformersAgent(model, tokenizer)
    first = await agent.act(opening("hello", episode="e"))
    before = agent.tokens_processed
    second = await agent.act(following(first, "go on", episode="e"))
    assert_exact(model, second)
    assert agent.tokens_processed - before == len(second.prompt_ids) + len(second.completion_ids) - 1


@pytest.mark.parametrize("name", ["qwen3", "llama"])
async def test_adapters_are_followed_like_any_weights(name, tokenizer):
    adapted = get_peft_model(make_model(name), LoraConfig(r=2, init_lora_weights=False, target_modules="all-linear"))
    adapted.eval()
    assert_exact(adapted, await TransformersAgent(adapted, tokenizer).act(opening("hello")))
