# `make demo` and `make test` make .venv and install the package into it when needed; `make docs` builds the documentation.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs

demo: $(VENV)/installed
	$(BIN)/zsbench run digits

test: $(VENV)/installed
	$(BIN)/python -m pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# In an environment of its own, see docs/requirements.txt; the site appears in build/site.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. .venv-docs/bin/mkdocs build --strict

.venv-docs/installed: docs/requirements.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check --quiet --requirement docs/requirements.txt
	touch $@

# pip resolves torch and torchvision together; a mixed pair does not import.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("zsbench needs Python 3.11 or newer: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	touch $@
