# Every target installs what it needs, again only after a change of the files in INPUTS.
#   PYTHON=python3.13 make test      use another interpreter, in an environment of its own
#   EXTRAS=cuda make train           install JAX for an accelerator (cuda or tpu)

PYTHON ?= python3
EXTRAS ?=
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv/$(VERSION)
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
WORKDIR ?= runs/mnist_sample
comma := ,
extras = $(if $(EXTRAS),$(comma)$(EXTRAS))
INPUTS := pyproject.toml constraints.txt Makefile

.PHONY: train test test-slurm test-browser docs site lint format constraints clean

train: $(VENV)/.run$(EXTRAS)  ## train GoogLeNet on the embedded digits
	$(BIN)/python -m launch.train --config=configs/mnist_sample.py --workdir=$(WORKDIR)

test: $(VENV)/.development  ## run every test, slow ones included
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(PYTEST_ARGS)

test-slurm: $(VENV)/.development  ## run the tests of launch/slurm under a Slurm, which this installs from Debian's packages
	tests/launch/slurm/install.sh
	$(BIN)/python -m pytest -m slurm tests/launch/slurm $(PYTEST_ARGS)

test-browser: $(VENV)/.development  ## run the tests of the report's page in Chromium, which this installs from Debian's packages
	tests/sweeps/report/install.sh
	$(BIN)/python -m pytest -m browser tests/sweeps/report $(PYTEST_ARGS)

docs: $(VENV)/.development  ## build the site of docs/ into build/docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

site: train $(VENV)/.development  ## build the site with the outputs of the notebooks
	NOTEBOOKS=cache $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

lint: $(VENV)/.development  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck $$(git ls-files '*.sh' '*.sbatch' .ci/run)

format: $(VENV)/.development  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: $(VENV)/.development  ## pin the newest versions of everything, for every Python
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade \
	  --extra demo --extra gcs --extra s3 --extra tfds --extra prepare --extra nvimgcodec --extra report --extra search \
	  --group lint --group test --group docs --group benchmarks --no-header --no-annotate -o constraints.txt

clean:
	rm -rf .venv runs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'  # the first version with dependency groups

$(VENV)/.run$(EXTRAS): $(INPUTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	$(PIP) install --constraint constraints.txt --editable '.[demo$(extras)]'
	touch $@

$(VENV)/.development: $(INPUTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	$(PIP) install --constraint constraints.txt --group lint --group test --group docs --group peers --editable '.[demo,prepare,nvimgcodec]'
	touch $@
