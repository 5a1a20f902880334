# Two commands do all the set-up on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test test-slow lint types clean

setup: $(VENV)/.ready
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@

# Train ner on the shipped sample, then use it.
demo: $(VENV)/.ready
	$(BIN)/nlpcli train ner --out runs/demo --force
	$(BIN)/nlpcli evaluate ner --run runs/demo --per-label
	$(BIN)/nlpcli predict ner --run runs/demo "王小明在北京大学读书"

# Parity tests skip, with a reason, where the other implementation is not installed.
# Two processes: minutes, not half an hour. The rest, `make test-slow`, is for CI.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist

test: $(VENV)/.ready-test
	$(PYTEST) loadfile -m "not slow"

test-slow: $(VENV)/.ready-test
	$(PYTEST) worksteal -m slow --durations 20

lint: $(VENV)/.ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.ready-test
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache
