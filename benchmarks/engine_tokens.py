"""Tokens a second of the embedded engine against `transformers.generate`, on the same multi-turn episodes.

    python -m benchmarks.engine_tokens [waves=2] [threads=1] [rounds=3]

Each episode has three turns of 5 to 120 sampled tokens (lognormal, median 35), with 60 tokens before the first and 10
to 60 between. `generate` is used the natural way: all episodes of a wave turn by turn, padded, each turn ending with
its longest and computing its prompt anew. The engine plays the same episodes, as many at once, each on its own. The two
take turns for some rounds; tokens/s are those of the best round of each, and the ratio of CPU seconds (medians) is
shown beside, since it says the same on a machine that does other things too.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from rich.console import Console
from rich.table import Table
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from agents.batch import Batch, Request
from agents.driver import Driver
from agents.sampling import Choice

VOCABULARY = 800
TURNS = 3


@dataclass(frozen=True)
class Episode:
    """Its turns: the tokens it is given, and how many it then samples."""

    name: str
    given: tuple[tuple[int, ...], ...]
    sampled: tuple[int, ...]


def model() -> PreTrainedModel:
    """Return a random model of the embedded one's shape."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
        eos_token_id=None,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).eval()


def episodes(count: int) -> list[Episode]:
    """Return the work, the same each time."""
    chance = random.Random(7)

    def given(turn: int) -> tuple[int, ...]:
        return tuple(chance.randrange(1, VOCABULARY) for _ in range(60 if turn == 0 else chance.randint(10, 60)))

    def sampled() -> int:
        return max(5, min(120, round(chance.lognormvariate(3.55, 0.7))))

    return [
        Episode(str(k), tuple(given(t) for t in range(TURNS)), tuple(sampled() for _ in range(TURNS)))
        for k in range(count)
    ]


async def by_engine(net: PreTrainedModel, work: list[Episode], concurrency: int) -> None:
    """Play the work, `concurrency` episodes at once."""
    driver = Driver(Batch(net, frozenset(), max_rows=64, max_parked_bytes=1 << 30), net)
    free = asyncio.Semaphore(concurrency)

    async def play(episode: Episode) -> None:
        ids: tuple[int, ...] = ()
        async with free:
            for turn, (given, sampled) in enumerate(zip(episode.given, episode.sampled, strict=True)):
                request = Request(ids + given, sampled, Choice(1.0, 1.0), random.Random(turn), episode.name)
                await driver.run(request)
                ids = request.ids
            driver.batch.parked.take(episode.name)

    await asyncio.gather(*map(play, work))
    await driver.close()


@torch.inference_mode()
def by_generate(net: PreTrainedModel, work: list[Episode], concurrency: int) -> None:
    """Play the work in waves of `concurrency` episodes."""
    for first in range(0, len(work), concurrency):
        wave = work[first : first + concurrency]
        held: list[list[int]] = [[] for _ in wave]
        for turn in range(TURNS):
            for ids, episode in zip(held, wave, strict=True):
                ids += episode.given[turn]
            longest = max(map(len, held))
            padded = torch.tensor([[0] * (longest - len(ids)) + ids for ids in held])
            mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in held])
            new = max(episode.sampled[turn] for episode in wave)
            output = net.generate(padded, attention_mask=mask, max_new_tokens=new, do_sample=True, top_k=0)
            for row, ids, episode in zip(output.tolist(), held, wave, strict=True):
                ids += row[longest : longest + episode.sampled[turn]]


def seconds(play: Callable[[], None]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    play()
    return time.perf_counter() - wall, time.process_time() - cpu


def row(net: PreTrainedModel, concurrency: int, waves: int, rounds: int) -> tuple[str, ...]:
    """Measure both at one concurrency."""
    work = episodes(max(concurrency * waves, 4))
    tokens = sum(sum(episode.sampled) for episode in work)
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(seconds(lambda: by_generate(net, work, concurrency)))
        ours.append(seconds(lambda: asyncio.run(by_engine(net, work, concurrency))))
    best = [tokens / min(wall for wall, _ in times) for times in (plain, ours)]
    cpu = [statistics.median(cpu for _, cpu in times) for times in (plain, ours)]
    return (
        str(concurrency),
        f"{best[0]:,.0f}",
        f"{best[1]:,.0f}",
        f"{best[1] / best[0]:.2f}",
        f"{cpu[0] / cpu[1]:.2f}",
    )


def main() -> None:
    """Measure and print."""
    options = dict(word.split("=") for word in sys.argv[1:])
    torch.set_num_threads(int(options.get("threads", 1)))
    net = model()
    asyncio.run(by_engine(net, episodes(2), 2))
    by_generate(net, episodes(2), 2)
    table = Table("episodes at once", "generate tokens/s", "engine tokens/s", "engine / generate", "by CPU seconds")
    for concurrency in (1, 8, 64):
        table.add_row(*row(net, concurrency, int(options.get("waves", 2)), int(options.get("rounds", 3))))
    Console().print(table)


if __name__ == "__main__":
    main()
