"""Run every benchmark, one after the other, each in a process of its own so that none warms or burdens the next."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version

BENCHMARKS = ("sandbox", "engine_tokens", "rollout_efficiency", "grpo_step")


def main() -> int:
    """Run them; return how many failed."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl"))
    print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
    print(packages, flush=True)
    failed = 0
    for name in BENCHMARKS:
        print(f"\n== {name}: python -m benchmarks.{name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
