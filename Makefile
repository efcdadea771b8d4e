# Two commands are all that a newcomer needs:  make demo  ·  make test
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-fast test-long explore lint docs reference bench setup clean help

help:            ## show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(STAMP)   ## run SRFLM with four vendors on the built-in CT phantom
	$(BIN)/srflm simulate

# Tests that have processes of their own mostly wait: three files at once, the longest first.
PROCESSES := tests/federation tests/docs tests/simulation tests/deploy tests/benchmarks

test: lint test-fast  ## lint, types, documentation, and all tests that take no minutes each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow and not long" -n 2 $(PROCESSES:%=--ignore=%)
	$(BIN)/python -m pytest -m "slow and not long" -n 3 --dist loadfile --no-loadscope-reorder $(PROCESSES)

test-long: $(STAMP)  ## the tests that take minutes each: every fault on real sites; before a release
	$(BIN)/python -m pytest -m long -n 3 --dist loadfile --no-loadscope-reorder $(PROCESSES)

test-fast: $(STAMP)   ## the tests that need no processes of their own, two at once
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

explore: $(STAMP)  ## the fast tests with examples that were never tried
	HYPOTHESIS_PROFILE=default OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

lint: $(STAMP)   ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Links and anchors are checked: a broken one is a warning, and a warning is an error.
docs: $(STAMP)   ## the documentation as pages for a browser, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(STAMP)  ## every figure of docs/results.md, from one run (an hour or two on two cores)
	$(BIN)/python -m benchmarks.run_all

reference: $(STAMP)  ## write the pages of docs/reference that follow from the code
	$(BIN)/python -m docs.generate

setup: $(STAMP)  ## make the virtual environment and install

# Everything is pinned by constraints.txt; the virtual environment is made anew only when it or
# pyproject.toml has changed.  torch comes first: 2.13.0 then satisfies all that ask for "torch".
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "found $$($(PYTHON) --version); expected Python 3.11 or newer; set PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@

clean:           ## remove the virtual environment and caches (runs stay)
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
