# make run     set up on the first call, then run the demo
# make test    set up on the first call, then run every test
# make check   ruff and mypy
# make docs    build the site: build/site/index.html
# make sanitize  the kernels on random problems under the sanitizers
# make clean   remove what make made

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test check docs sanitize clean

run: $(VENV)/.ready
	$(BIN)/elman demo

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.ready
	$(BIN)/python -m docs.site

sanitize: $(VENV)/.ready-dev
	$(BIN)/python -m pytest tests/csrc

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info

# Every version comes from constraints.txt; elman itself is built with what is installed here, its
# kernels beside torch, which therefore comes first.
$(VENV)/.ready: pyproject.toml setup.py constraints.txt $(wildcard csrc/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo 'elman needs Python 3.10 or newer: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	    { echo 'This Python has no venv. On Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo 'Setting up in $(VENV): two or three minutes once the downloads are in ...'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt "setuptools>=77" torch
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@
