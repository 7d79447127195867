"""`python -m trainers.grpo env=code_exec`: train a policy with GRPO. `python -m trainers.grpo help` lists the options.

This module imports next to nothing: what it starts is imported once the five packages are known to be ours.
"""

import os
import sys
from collections.abc import Sequence

from rollout.cli import run_cli

_ENVIRONMENT = {
    # Threads that wait for work must not spin: the sandboxes and the environments need the cores.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    # What Hugging Face's libraries would otherwise print across the progress bar.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 for a mistake on the line, 130 after Ctrl-C."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return run_cli("trainers.command:train", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
