# Two commands do everything on a machine with Python 3.11+ and make:
#   make demo   a real joint search on embedded data, on Ray; leaves runs/demo with a report
#   make test   lint, types, import layers, all tests, and those of the example package
# And one that takes an hour as root: make chaos, faults of every kind on a cluster of namespaces
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check unit clusters others plugin chaos install clean
.DEFAULT_GOAL := test

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/python -m examples.digits --path runs/demo

test: check unit plugin

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# tests of clusters wait most of their time; the others fill the gaps, and Ray's workers come first
unit: install
	$(MAKE) --jobs 2 clusters others

clusters: install
	$(BIN)/python -m pytest tests/cluster

others: install
	nice -n 19 $(BIN)/python -m pytest --ignore=tests/cluster

# installed beside the environment, not in it: a search by default has no selectors of other packages
plugin: install
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/plugin examples/plugin
	PYTHONPATH=build/plugin $(BIN)/python -m pytest --import-mode=importlib examples/plugin

chaos: install
	$(BIN)/python -m tests.cluster.lab --json benchmarks/results/chaos.json

clean:
	rm -rf $(VENV) runs build dist examples/plugin/build examples/plugin/*.egg-info *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
