# The habits of this repository. Each target makes .venv first if there is none; nothing needs to be done before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?= env=code_exec
# What pytest runs: everything but the tests that take minutes. `make test TESTS=` runs those too.
TESTS ?= -m "not slow"

.PHONY: train test lint format bench clean

train: $(VENV)/ready
	$(BIN)/python -m trainers.grpo $(ARGS)

test: lint
	$(BIN)/python -m pytest $(TESTS) --cov --cov-report=term

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks.all

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: name a newer one, as in 'make $(MAKECMDGOALS) PYTHON=python3.12'" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[train,dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
