# Each target does all its own set-up, in .venv.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0
SECONDS ?= 60
export HF_HUB_OFFLINE ?= 1

.PHONY: test slow fuzz lint types wheel demo bench ablation clean test-trainers test-ms-swift test-verifiers test-lmms-eval

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[trl,testing,parquet,report,serve,openai,gpu,demo]" --group dev --group page
	touch $@

# Those trainers that install beside one another, and each other one alone.
EXTRAS-trainers := trl,verl,skyrl,ray,serve
.venv-%/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install -q --upgrade "pip>=25.1"
	.venv-$*/bin/python -m pip install -q -c constraints.txt -e ".[$(or $(EXTRAS-$*),$*)]" --group test
	touch $@

test: .venv/installed
	$(BIN)/python -m pytest -q -rs -n auto --dist worksteal -m "not slow"

slow: .venv/installed
	$(BIN)/python -m pytest -q -rs -n auto --dist worksteal -m slow

# OpenRLHF's own requirements need CUDA; its executor, which is what is driven, needs none of them.
test-trainers: .venv-trainers/installed
	.venv-trainers/bin/python -m pip install -q --no-deps openrlhf==0.11.2
	.venv-trainers/bin/python -m pytest -q -rs tests/adapters -k "not swift and not verifiers"

test-ms-swift: .venv-ms-swift/installed
	.venv-ms-swift/bin/python -m pytest -q -rs tests/adapters -k swift

test-verifiers: .venv-verifiers/installed
	.venv-verifiers/bin/python -m pytest -q -rs tests/adapters -k verifiers

# A torchvision for CUDA, which comes along, does not load beside a torch for the CPU, and is not needed.
test-lmms-eval: .venv-lmms-eval/installed
	.venv-lmms-eval/bin/python -m pip uninstall -q -y torchvision
	.venv-lmms-eval/bin/python -m pytest -q -rs tests/adapters -k lmms

fuzz: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt --group fuzz
	$(BIN)/python tests/fuzz/fuzz_parsing.py --seconds $(SECONDS) -seed=$(SEED)

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
	$(BIN)/python benchmarks/published_forms.py

# ARGS=--docs puts the table and the figure into docs/.
ablation: .venv/installed
	$(BIN)/python benchmarks/ablation.py $(ARGS)

clean:
	rm -rf .venv .venv-* dist runs
