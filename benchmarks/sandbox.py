"""What running a trivial program costs: the process sandbox against a bare interpreter, interleaved in one run.

`python -m benchmarks.sandbox [runs]` prints latency one at a time, throughput one and eight at a time, and the CPU
milliseconds of a run, those of this process included.
"""

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.table import Table

from sandboxes import SandboxConfig, close_pools, lease, open_sandbox

CODE = "print(1 + 1)"
AT_ONCE = 8
ROUNDS = 10
OPTIONS = {"slots": AT_ONCE}


def bare() -> None:
    """Run it in a new interpreter."""
    done = subprocess.run([sys.executable, "-I", "-c", CODE], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "2\n"


def leased() -> None:
    """Run it in a sandbox of the pool, lent for this one run."""
    with lease(OPTIONS) as sandbox:
        assert sandbox.run(["python", "-c", CODE]).stdout == "2\n"


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    ways: dict[str, Callable[[], None]] = {"process sandbox, from the pool": leased, "python -I, a subprocess": bare}
    latencies: dict[str, list[float]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for way in ways.values():
            list(threads.map(lambda _, way=way: way(), range(4 * AT_ONCE)))  # warm: every slot open
        for _ in range(ROUNDS):
            for name, way in ways.items():
                latencies[name] += [_seconds(way) for _ in range(runs // ROUNDS)]
                began = time.perf_counter()
                list(threads.map(lambda _, way=way: way(), range(runs // ROUNDS)))
                rates[name].append(runs // ROUNDS / (time.perf_counter() - began))
    close_pools()
    cpu = {"process sandbox, from the pool": _cpu_sandbox(runs), "python -I, a subprocess": _cpu_ms(bare, runs // 4)}
    _show(latencies, rates, cpu)


def _seconds(way: Callable[[], None]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def _cpu_sandbox(runs: int) -> float:
    """Return CPU milliseconds of one run; the launcher's count once it has ended, hence its start is taken off."""

    def session(count: int) -> None:
        with contextlib.closing(open_sandbox(SandboxConfig())) as sandbox:
            for _ in range(count):
                sandbox.run(["python", "-c", CODE])

    return (_cpu_ms(lambda: session(runs), 1) - _cpu_ms(lambda: session(0), 1)) / runs


def _cpu_ms(work: Callable[[], None], times: int) -> float:
    began = _cpu_seconds()
    for _ in range(times):
        work()
    return (_cpu_seconds() - began) / times * 1000


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _show(latencies: dict[str, list[float]], rates: dict[str, list[float]], cpu: dict[str, float]) -> None:
    table = Table(title=f"print(1 + 1), {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    table.add_column("way")
    for heading in ("median ms", "p99 ms", "exec/s, 1", f"exec/s, {AT_ONCE} at once", "CPU ms a run"):
        table.add_column(heading, justify="right")
    for name, seconds in latencies.items():
        median, p99 = statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=100)[98] * 1000
        one, many = len(seconds) / sum(seconds), statistics.median(rates[name])
        table.add_row(name, f"{median:.2f}", f"{p99:.2f}", f"{one:.0f}", f"{many:.0f}", f"{cpu[name]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
