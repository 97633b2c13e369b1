# Two commands: `make quickstart` makes a small dataset, `make test` checks the house. Both set up .venv/ first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
OUT := out/quickstart

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-fast test-durations lint types format clean

help:
	@echo "make quickstart  set up, then make 64 chest and pathology pairs in $(OUT)"
	@echo "make test        set up, then run the fast and the slow tests"
	@echo "make test-fast   set up, then run the fast tests"
	@echo "make test-durations  the same, then name every fast test above 3 s"
	@echo "make lint        ruff and mypy"
	@echo "make format      ruff format"
	@echo "make clean       remove .venv/, out/ and caches"

# The stamp is newer than what it was made from, so an installed environment costs nothing.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "setting up $(VENV), once: a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,dev]"
	@touch $@

quickstart: $(INSTALLED)
	$(BIN)/medim run jobs/quickstart.yaml
	@echo "contact sheet: $(OUT)/contact_sheet.png"
	@echo "dataset card:  $(OUT)/README.md"

test: $(INSTALLED)
	@.ci/packages
	$(BIN)/python -m pytest -m "not gpu"

test-fast: $(INSTALLED)
	$(BIN)/python -m pytest

# No fast test may take longer; on a busy machine one may seem to, so this is looked at, not asserted.
test-durations: $(INSTALLED)
	$(BIN)/python -m pytest -q --durations=0 --durations-min=3

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory types

# mypy is shown the packages where an installation has them, for it does not follow the path of medim_forge/__init__.py.
types: $(INSTALLED_DEV)
	@mkdir -p build/types/medim_forge
	@ln -sfn $(CURDIR)/generator $(CURDIR)/model $(CURDIR)/medim_forge/*.py build/types/medim_forge/
	$(BIN)/mypy

format: $(INSTALLED_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
