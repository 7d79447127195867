"""Seconds of one GRPO step of the main job, and where they go.

`python -m benchmarks.grpo_step [env] [steps]` trains the embedded model for some steps by the real command, leaves out
the first two, and prints the median of each part. Rollout is everything from the first prompt to the last reward;
within it an episode waits for the agent and for its environment while others run beside it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

_WARM_UP = 2
_PARTS = {
    "rollout": "seconds/rollout",
    "batch preparation": "seconds/prepare",
    "forward and backward": "seconds/loss",
    "optimiser": "seconds/optimiser",
}
_WAITS = {"waits for the agent": "seconds/agent", "waits for its environment": "seconds/environment"}


def main() -> int:
    """Measure and print."""
    env = sys.argv[1] if len(sys.argv) > 1 else "code_exec"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 22
    rows = _train(env, steps)[_WARM_UP:]
    for row in rows:
        row["rest"] = row["seconds/step"] - sum(row[key] for key in _PARTS.values())
    whole = _median(rows, "seconds/step")
    table = Table(title=f"one GRPO step, env={env}, {len(rows)} steps, medians")
    for heading in ("part", "seconds", "share"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for name, key in {**_PARTS, "the rest": "rest", "step": "seconds/step"}.items():
        seconds = _median(rows, key)
        table.add_row(name, f"{seconds:.3f}", f"{seconds / whole:.0%}")
    table.add_section()
    for name, key in _WAITS.items():
        table.add_row(f"a mean episode {name}", f"{_median(rows, key):.3f}", "")
    Console().print(table)
    Console().print(f"{_median(rows, 'tokens_per_s'):,.0f} tokens/s sampled, tools and grading included")
    return 0


def _train(env: str, steps: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        words = [f"env={env}", f"steps={steps}", f"save_steps={steps}", "eval.tasks=1", f"out={out}"]
        subprocess.run([sys.executable, "-m", "trainers.grpo", *words], check=True, stdout=subprocess.DEVNULL)
        return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def _median(rows: list[dict[str, float]], key: str) -> float:
    return statistics.median(row[key] for row in rows)


if __name__ == "__main__":
    sys.exit(main())
