PYTHON ?= python3
BIN = .venv/bin
TWO = -n 2 --dist loadfile --no-loadscope-reorder -rs

.PHONY: sweep test test-fast test-machines bench docs clean

## a first sweep on the embedded drawings: tables and figures in results/quickstart
sweep: .venv/installed
	$(BIN)/python run_sweep.py quickstart
	$(BIN)/python analyze.py results/quickstart

## all tests and checks: two files at a time, then the tests that need the machine for themselves; what was skipped, and why, stands at the end
test: .venv/installed-test
	@export ONESHOT_FINISHED=$$(mktemp -d); trap 'rm -rf "$$ONESHOT_FINISHED"' EXIT; set -x; \
	$(BIN)/python -m pytest -m "not alone and not machines" $(TWO) && $(BIN)/python -m pytest -m alone -rs

## without the slow ones
test-fast: .venv/installed-test
	$(BIN)/python -m pytest -m "not slow and not alone" $(TWO)

## job scripts on a real Slurm and ray up over ssh, on machines that the tests make of this one: about eight minutes, most of it waiting
test-machines: .venv/installed-test
	$(BIN)/python -m pytest -m machines -n 3 --dist loadfile -rs

## every benchmark beside its baseline: one table, written to benchmarks/RESULTS.md
bench: .venv/installed
	$(BIN)/python benchmarks/run.py

## the pages of docs/ as a site: build/docs/index.html
docs: .venv/installed-docs
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv build results
