PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
# every process that a test starts would compile all sources anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo site test

demo: $(VENV)/.installed
	$(BIN)/slingshot demo

site: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
