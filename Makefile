# Two commands: `make quickstart` makes a small dataset, `make test` checks the house. Both set up .venv/ first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
INSTALLED_DEV := $(VENV)/.installed-dev
LOCKS := $(wildcard locks/install locks/*/*.txt)
OUT := out/quickstart
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-fast test-durations lint types format lock licences clean

help:
	@echo "make quickstart  set up, then make 64 chest and pathology pairs in $(OUT)"
	@echo "make test        set up, then run the fast and the slow tests"
	@echo "make test-fast   set up, then run the fast tests"
	@echo "make test-durations  the same, then name every fast test above 3 s"
	@echo "make lint        ruff and mypy"
	@echo "make format      ruff format"
	@echo "make lock        locks/ from pyproject.toml and constraints.txt"
	@echo "make licences    docs/licences.md from what is installed"
	@echo "make clean       remove .venv/, out/ and caches"

# A stamp is newer than what it was made from, so an installed environment costs nothing. The project itself is built with
# the setuptools of the lock: nothing is fetched for it.
$(INSTALLED): pyproject.toml $(LOCKS)
	@echo "setting up $(VENV), once: about a minute"
	$(PYTHON) -m venv $(VENV)
	locks/install $(BIN)/python run
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation -e .
	@touch $@

$(INSTALLED_TEST): $(INSTALLED)
	locks/install $(BIN)/python test
	@touch $@

$(INSTALLED_DEV): $(INSTALLED_TEST)
	locks/install $(BIN)/python dev
	@touch $@

# Other versions come from constraints.txt by hand; ARGS=--upgrade takes newer ones of all that it leaves open.
lock: $(INSTALLED_DEV)
	$(BIN)/python -m locks.resolve $(ARGS)

licences: $(INSTALLED_DEV)
	$(BIN)/python -m locks.licences

quickstart: $(INSTALLED)
	$(BIN)/medim run jobs/quickstart.yaml
	@echo "contact sheet: $(OUT)/contact_sheet.png"
	@echo "dataset card:  $(OUT)/README.md"

# Two files at a time, for many tests wait for processes that they started; one thread each, so that two do not fight.
test: $(INSTALLED_TEST)
	@.ci/packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gpu" -n $(WORKERS) --dist loadfile

test-fast: $(INSTALLED_TEST)
	$(BIN)/python -m pytest

# No fast test may take longer; on a busy machine one may seem to, so this is looked at, not asserted.
test-durations: $(INSTALLED_TEST)
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
