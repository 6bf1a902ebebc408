PYTHON ?= python3
PRESET ?= paper
OUTPUT ?= results
DATASETS ?=
SEEDS ?=
FLAGS ?=

RUN = .venv/bin/python -m experiments.main --preset=$(PRESET) --output_dir=$(OUTPUT) \
	$(if $(DATASETS),--dataset=$(DATASETS)) $(if $(SEEDS),--seed=$(SEEDS)) $(FLAGS)

.PHONY: help install reproduce-table1 reproduce-figure1 reproduce-figure2 reproduce-figure3 claims describe notebooks test lint bench clean
.DEFAULT_GOAL := help

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables: PRESET=paper|quick, DATASETS=ml-1m,lastfm,..., SEEDS=0,1,..., OUTPUT=results, FLAGS='--epochs=500 ...'"

install: .venv/installed ## make .venv and install the package into it

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	@touch $@

.venv/notebooks: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[notebooks]'
	@touch $@

.venv/bench: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

reproduce-table1: .venv/installed ## Table 1 of the multi-step paper (PRESET=quick: minutes, no data needed)
	$(RUN) --experiment=table1

reproduce-figure1: .venv/installed ## Figure 1: performance over iterations
	$(RUN) --experiment=iterations

reproduce-figure2: .venv/installed ## Figure 2: performance over the budget, and certified bounds
	$(RUN) --experiment=budget

reproduce-figure3: .venv/installed ## Figure 3: ten sub-samples, twenty trainings; FLAGS='--epochs=300 --amf_start=200' shortens them
	$(RUN) --experiment=characteristics

claims: .venv/installed ## the paper's statements as checks over what has been measured
	$(RUN) --experiment=claims

describe: .venv/installed ## statistics of DATASETS
	$(RUN) --experiment=describe

notebooks: .venv/notebooks ## run the notebooks and render them to notebooks/html
	PRESET=$(PRESET) DATASET=$(or $(DATASETS),$(if $(filter quick,$(PRESET)),synthetic,ml-1m)) OUTPUT=$(abspath $(OUTPUT)) FLAGS='$(FLAGS)' \
		.venv/bin/jupyter nbconvert --to html --execute --output-dir notebooks/html notebooks/*.ipynb

test: .venv/installed ## the test suite
	.venv/bin/python -m pytest -q tests

lint: .venv/installed ## ruff
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

bench: .venv/bench ## speed and memory beside the plain loop and the eager dense baseline
	.venv/bin/python -m benchmarks.main

clean: ## remove the environment; results stay
	rm -rf .venv build *.egg-info
