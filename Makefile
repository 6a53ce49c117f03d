# Needs make and Python 3.11 or newer; `make surf PYTHON=python3.12` names another one.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help surf test lint clean

help:
	@echo "make surf    behaviour tests of the embedded model: ends with 1, it has defects (SURF_ARGS=...)"
	@echo "make test    the tests of surfcheck itself (TEST_ARGS=...)"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make clean   removes all that was made here"

# When a command fails, make ends with 2 whatever the command ended with. Only with --question does
# it pass on the 1 of a line marked `+`, and 1 is what pytest says of findings.
ifeq ($(MAKECMDGOALS),surf)
MAKEFLAGS += --question
endif
surf:
	+@MAKEFLAGS= $(MAKE) --no-print-directory --silent $(INSTALLED) "PYTHON=$(PYTHON)"
	+@MAKEFLAGS= $(BIN)/pytest --surf $(SURF_ARGS)

test: $(INSTALLED)
	$(BIN)/pytest $(TEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[providers,ray,train]" --group dev
	@touch $@

clean:
	rm -rf .venv .surfcheck .hypothesis .*_cache dist build
	find . -name __pycache__ -prune -exec rm -rf {} +
