# Each target does all its own set-up, in .venv.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0
SECONDS ?= 60
export HF_HUB_OFFLINE ?= 1

.PHONY: test slow fuzz lint types wheel demo bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[trl,testing,parquet,demo]" --group dev
	touch $@

test: .venv/installed
	$(BIN)/python -m pytest -q -rs -m "not slow"

slow: .venv/installed
	$(BIN)/python -m pytest -q -rs -m slow

fuzz: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt --group fuzz
	$(BIN)/python tests/fuzz/fuzz_parsing.py --seconds $(SECONDS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

wheel: .venv/installed
	rm -rf dist
	$(BIN)/python -m build -q --wheel

demo: .venv/installed
	$(BIN)/python examples/full_pipeline.py --preset smoke --seed $(SEED) --output-dir runs/demo-$(SEED)

bench: .venv/installed
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv dist runs
