# make demo    a push of examples/hello, from nothing
# make test    the tests; SLOW=1 for those too that take long
# make lint    mypy and ruff
# make bench   the table of docs/performance.md

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
# `make test SLOW=1` also runs what takes more than a few seconds each.
MARKS := $(if $(SLOW),,-m "not slow")

# Labs wait more than they work.
WORKERS := $(if $(SLOW),4,3)

.PHONY: demo test lint bench golden clean

demo: $(VENV)/installed
	@$(VENV)/bin/nap demo

test: $(VENV)/tests-installed
	@$(PYTHON) -m pytest -n $(WORKERS) $(MARKS) $(TESTS)
	@$(if $(SLOW),,echo "left out were the slow tests (faults, networks, the machine's own MPI): make test SLOW=1")

lint: $(VENV)/tests-installed
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

bench: $(VENV)/tests-installed
	@$(PYTHON) -m bench

golden: $(VENV)/tests-installed
	@NAP_GOLDEN=write $(PYTHON) -m pytest -q $$(grep -rl --include='test_*.py' golden tests)

$(VENV)/python: .ci/packages
	@sh .ci/packages python3-venv gcc git
	@python3 -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/python setup.cfg
	@echo "installing nap into $(VENV)"
	@$(PYTHON) -m pip install -q --disable-pip-version-check --use-pep517 -e .
	@touch $@

$(VENV)/tests-installed: $(VENV)/installed
	@$(PYTHON) -m pip install -q --disable-pip-version-check --use-pep517 -e '.[dev]'
	@touch $@

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
