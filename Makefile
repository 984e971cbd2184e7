# The commands of seedbed. `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
PYTHON ?= python3.11
STUDY ?= demo
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Output in the order in which it happens, also through pipes.
export PYTHONUNBUFFERED := 1
# glibc's malloc keeps what is freed. By default it gives large tensors back to the system, and gets
# them page by page again: on a CPU, a good part of the time that a small model takes to generate.
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 1073741824

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

.PHONY: env
env: .venv/ready ## make the environment in .venv, from the lock

.venv/ready: envs/cpu.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement envs/cpu.lock
	touch .venv/ready

.PHONY: demo
demo: env ## run the study in miniature to the end, and print what it found
	snakemake --config study=$(STUDY)
	@cat results/$(STUDY)/report/summary.txt

.PHONY: test
test: env lint ## check the code, and run all tests
	pytest

.PHONY: lint
lint: env ## check the code without running it
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

.PHONY: lock
lock: ## pin what envs/requirements.in asks for, in a fresh environment
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/requirements.in
	{ echo "# Made by 'make lock' from requirements.in, for Python 3.11 on Linux."; $(BIN)/python -m pip freeze | sed 's/+cpu$$//'; } > envs/cpu.lock
	touch .venv/ready
