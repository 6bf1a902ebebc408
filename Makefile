PYTHON ?= python3
PRESET ?= paper
OUTPUT ?= results
DATASETS ?=
SEEDS ?=
FLAGS ?=
SCALE ?=
RESULTS ?=
ROOM ?=

KNOWN = PYTHON PRESET OUTPUT DATASETS SEEDS FLAGS SCALE RESULTS ROOM
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),\
	$(if $(filter $(name),$(KNOWN)),,$(error $(name) is no variable of this Makefile, which has $(KNOWN)))))

ADVREC = .venv/bin/python -m experiments.main --preset=$(PRESET) $(if $(DATASETS),--dataset=$(DATASETS))
RUN = $(ADVREC) --output_dir=$(OUTPUT) $(if $(SEEDS),--seed=$(SEEDS)) $(FLAGS)

NOTEBOOKS = table1 iterations budget characteristics lowrank_table3 lowrank_figure2 lowrank_table2 lowrank_figure5
TODAY = LightGCN,LightGCN-APR,LightGCN:normalised,LightGCN:32:normalised,SASRec,SASRec-APR
SURFACES = LightGCN,LightGCN-APR,SASRec,SASRec-APR,BPR-MF,iALS,LightGCN:normalised,LightGCN:32:normalised,iALS:64:normalised
LOWRANK = table1 table2 table3 figure1 figure2 figure3 figure4 figure5 figure6 controls recsys19 adaptive younger

.PHONY: help install docs package reproduce-table1 reproduce-figure1 reproduce-figure2 reproduce-figure3 poison-gowalla poison-ml100k reproduce-lowrank \
	$(LOWRANK:%=reproduce-lowrank-%) low-rank-against-perturbations lowrank-estimate robustness defend stability promotion reproduce-today convergence verdict claims describe notebooks publish test coverage test-clusters test-libraries lint bench clean
.DEFAULT_GOAL := help

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-32s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  reproduce-lowrank-NAME           one of them: $(LOWRANK)"
	@echo "Variables: PRESET=paper|quick, DATASETS=ml-1m,lastfm,..., SEEDS=0,1,..., OUTPUT=results, FLAGS='--epochs=500 ...'"

install: .venv/installed ## make .venv and install the package into it

.venv/installed: setup.py pyproject.toml
	@echo "advrec: installing TensorFlow and the package into .venv, which takes several minutes"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable .
	@touch $@

.venv/test: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	@touch $@

.venv/notebooks: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[notebooks]'
	@touch $@

.venv/bench: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

.venv/faiss: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[faiss]'
	@touch $@

.venv/clusters: .venv/test
	.venv/bin/python -m pip install --quiet --editable '.[dask,ray]'
	@touch $@

.venv/libraries: .venv/test
	.venv/bin/python -m pip install --quiet --editable '.[libraries]'
	@touch $@

.venv/docs: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[docs]'
	@touch $@

.venv/package: .venv/installed
	.venv/bin/python -m pip install --quiet build
	@touch $@

reproduce-table1: .venv/installed ## Table 1 of the multi-step paper (PRESET=quick: minutes, no data needed)
	$(RUN) --experiment=table1

reproduce-figure1: .venv/installed ## Figure 1: performance over iterations
	$(RUN) --experiment=iterations

reproduce-figure2: .venv/installed ## Figure 2: performance over epsilon, and certified bounds
	$(RUN) --experiment=budget

reproduce-figure3: .venv/installed ## Figure 3: ten sub-samples, twenty trainings; FLAGS='--epochs=300 --bprmf_epochs=200 --amf_start=200' shortens them
	$(RUN) --experiment=characteristics

poison-gowalla: .venv/installed ## RecSys20 against WRMF on Gowalla; FLAGS='--attack_seed=0,1,2' for the variance of the attack
	$(RUN) --experiment=poison $(if $(DATASETS),,--dataset=$(if $(filter quick,$(PRESET)),synthetic,gowalla))

poison-ml100k: .venv/installed ## RecSys19, RecSys20 and both against WRMF on ML-100K; FLAGS='--attack_seed=0,1,2' for the variance of the attacks
	$(RUN) --experiment=poison $(if $(DATASETS),,--dataset=$(if $(filter quick,$(PRESET)),synthetic,ml-100k)) --attack=recsys19,recsys20,recsys19+recsys20

reproduce-lowrank: lowrank-estimate $(LOWRANK:%=reproduce-lowrank-%) verdict ## all of the low-rank paper, its controls and later defences, in one report

lowrank-estimate:
	@echo "advrec: $(if $(filter quick,$(PRESET)),about 6 minutes,about 3 hours on two cores); finished work in $(OUTPUT) is skipped"

$(LOWRANK:%=reproduce-lowrank-%): reproduce-lowrank-%: .venv/installed
	$(RUN) --experiment=lowrank_$*

low-rank-against-perturbations: .venv/installed ## both papers together: the low-rank transformation against FGSM, BIM and PGD
	$(RUN) --experiment=low_rank_against_perturbations

robustness: .venv/installed ## a leaderboard of factors in units that no scale can fake; FLAGS='--factors=NAME:USERS.npy:ITEMS.npy' adds your own
	$(RUN) --experiment=robustness

defend: robustness ## the same board: what withstands many steps, and tests against every other entry

stability: .venv/faiss ## what storage, another training, new data and fake users do to factors and lists
	$(RUN) --experiment=stability

promotion: .venv/installed ## how far rows of factors must move before an item enters many lists
	$(RUN) --experiment=promotion

reproduce-today: .venv/faiss ## LightGCN and SASRec: beside published accuracies, attacked in two places, ranked, stored, poisoned
	$(RUN) --experiment=baselines --models=BPR-MF,iALS,LightGCN,SASRec
	$(RUN) --experiment=surfaces --models=$(SURFACES)
	$(RUN) --experiment=robustness --entries=$(TODAY),BPR-MF,iALS-64,iALS-64:32:normalised,SVD-16:normalised,MostPopular
	$(RUN) --experiment=stability --entries=$(TODAY),iALS-64,MostPopular
	$(RUN) --experiment=poison --attack=bandwagon,recsys20 --victim=lightgcn $(if $(DATASETS),,--dataset=$(if $(filter quick,$(PRESET)),synthetic,ml-100k))

convergence: .venv/installed ## whether the leaderboard's attack has converged: ten times the steps, ten restarts
	$(RUN) --experiment=convergence

verdict: .venv/installed ## the low-rank paper's statements, what they come from, and all its pages in one
	.venv/bin/python -m experiments.main --output_dir=$(OUTPUT) --experiment=verdict

claims: .venv/installed ## the papers' statements as checks over what has been measured
	$(ADVREC) --output_dir=$(OUTPUT) $(FLAGS) --experiment=claims

describe: .venv/installed ## statistics of DATASETS
	$(ADVREC) $(FLAGS) --experiment=describe

notebooks: .venv/notebooks ## notebooks as pages in notebooks/html, from your results or ours; PRESET=quick measures first
	$(if $(filter quick,$(PRESET)),$(foreach name,$(NOTEBOOKS),$(RUN) --experiment=$(name) > /dev/null &&) true)
	.venv/bin/python notebooks/render.py '$(OUTPUT)' $(PRESET) $(or $(DATASETS),$(if $(filter quick,$(PRESET)),synthetic,ml-1m))

publish: .venv/test ## README, docs and pages from the rows in published_runs; RESULTS='FOLDER ...' adds rows first
	.venv/bin/python published_runs/publish.py $(RESULTS)

test: .venv/test ## the test suite; ROOM=evaluation: only tests/test_evaluation*.py
	.venv/bin/python -m pytest -q --numprocesses=2 --dist=worksteal $(if $(ROOM),tests/test_$(ROOM)*.py,tests)

coverage: .venv/test ## the test suite and its coverage, which takes half as long again
	.venv/bin/python -m pytest -q --numprocesses=2 --dist=worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90 tests

test-clusters: .venv/clusters ## the tests on Dask and Ray, which kill workers, clients and schedulers
	TEST_CLUSTERS=1 .venv/bin/python -m pytest -q tests/test_clusters.py

test-libraries: .venv/libraries ## round trips of models of implicit, Cornac, Surprise, LensKit, gensim and PyTorch
	.venv/bin/python -m pytest -q tests/test_round_trips.py

lint: .venv/test ## ruff and mypy
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

docs: .venv/docs ## pages of the public functions, in docs/html
	.venv/bin/python docs/render_api.py docs/html

package: .venv/package ## a wheel and a source archive, in dist
	.venv/bin/python -m build --outdir dist .

bench: .venv/bench ## speed and memory beside a plain loop and an eager dense baseline; SCALE=1m: a million users
	$(if $(SCALE),.venv/bin/python -m benchmarks.scale,.venv/bin/python -m benchmarks.main && .venv/bin/python -m benchmarks.poisoning && .venv/bin/python -m benchmarks.propagation)

clean: ## remove the environment; results stay
	rm -rf .venv build dist docs/html *.egg-info
