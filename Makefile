# Two commands: `make demo` and `make test`. Everything lives in .venv; PYTHON is any Python >= 3.11.
PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
STUDY ?= config/config.yaml
BIN := .venv/bin

.PHONY: demo test check ui evidence gpu

$(BIN)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar on --editable ".[dev]"
	touch $@

demo: $(BIN)/.installed
	$(BIN)/snakemake --cores $(CORES) --quiet rules
	@$(BIN)/rs show

test: $(BIN)/.installed check
	$(BIN)/python -m pytest

check: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(BIN)/.installed
	@$(BIN)/rs ui --study $(STUDY)

# the tables of docs/evidence from the observations in evidence/runs
evidence: $(BIN)/.installed
	$(BIN)/rs rederive --list evidence/tables.yaml

# the GPU queue for so many minutes, with the Python that has torch; archives of what came out in PACK
MINUTES ?= 9
SLOTS ?= 12
PACK ?= packed
gpu:
	$(PYTHON) -m rs slice config/gpu/queue.yaml --minutes $(MINUTES) --slots $(SLOTS) --unpack $(PACK) --pack $(PACK)
