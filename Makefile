# Two commands: `make demo` and `make test`. Everything lives in .venv; PYTHON is any Python >= 3.11.
# `make quick` is the part of the tests for between two edits.
PYTHON ?= python3
# The exact versions that the project was last tested with; `make LOCK=` takes the newest in pyproject's ranges.
LOCK ?= requirements.lock
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
STUDY ?= config/config.yaml
BIN := .venv/bin

# over the cores, a file's tests together; a process that dies ends the run, as xdist waits for ever for a new one
SPREAD = -n logical --maxprocesses 4 --dist loadfile --max-worker-restart 0
INSTALL = $(BIN)/python -m pip install --progress-bar on --editable ".[dev,browser]"

.PHONY: demo test quick check ui lock evidence papers gpu

$(BIN)/.installed: pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(INSTALL) $(if $(LOCK),--constraint $(LOCK)) || { test -n "$(LOCK)" && \
	  echo "make: no environment with the versions of $(LOCK) here: taking pyproject's ranges" && $(INSTALL); }
	touch $@

demo: $(BIN)/.installed
	$(BIN)/snakemake --cores $(CORES) --quiet rules
	@$(BIN)/rs show

test: $(BIN)/.installed check
	$(BIN)/python -m pytest $(SPREAD)

quick: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow and not workflow" $(SPREAD)

check: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(BIN)/.installed
	@$(BIN)/rs ui --study $(STUDY)

# the versions of .venv as the new lock, after `make LOCK= test` in a fresh one
lock: $(BIN)/.installed
	{ sed '/^#/!d' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable --exclude rs-smoothing | \
	  sed -n 's/^[A-Za-z0-9_.-]*==[^ ]*$$/& ; python_version < "3.14"/p'; } > .venv/lock
	mv .venv/lock requirements.lock

# the tables of docs/evidence from the observations in evidence/runs
evidence: $(BIN)/.installed
	$(BIN)/rs rederive --list evidence/tables.yaml
	$(BIN)/rs verdicts --kept --write docs/evidence/verdicts.md README.md

# a page per paper from whatever has been run, in results/papers
papers: $(BIN)/.installed
	$(BIN)/rs papers

# the GPU queue for so many minutes, with the Python that has torch; archives of what came out in PACK, which the
# next slice goes on from
MINUTES ?= 9
SLOTS ?= 12
PACK ?= packed
gpu:
	mkdir -p $(PACK)
	$(PYTHON) -m rs slice config/gpu/queue.yaml --minutes $(MINUTES) --slots $(SLOTS) --unpack $(PACK) --pack $(PACK)
