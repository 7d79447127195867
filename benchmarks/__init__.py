"""Measurements. Each module is one command that prints a table; `python -m benchmarks.all` runs them all."""
