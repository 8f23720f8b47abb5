PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test

demo: $(VENV)/.installed
	$(BIN)/slingshot record --setup parity_3_50 --out runs --overwrite
	$(BIN)/slingshot analyze runs/parity_3_50-s3.h5 --plot figures

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
