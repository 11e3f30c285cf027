# Every verb makes the environment it needs: all it asks of the machine is make and Python 3.10 or newer.

BIN := .venv/bin
ENVIRONMENT := tools/environment

# Another environment that happens to be active must not leak into this one.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test example examples-test compose-test check chaos chaos-mutants bench bench-peers bench-cluster bench-payload dist audit docs docs-test thread clean

help: ## list these verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## start a Redis, a local Ray and a pool of engines, and show them at work
	@$(ENVIRONMENT) demo
	@$(BIN)/pullet demo

test: ## run the tests (ARGS="tests/unit -k name" runs some of them, ARGS="-n 0" all in one process)
	@$(ENVIRONMENT) dev
	@$(BIN)/pytest -n 3 --dist loadgroup $(ARGS)

docs: ## build the documentation site into build/site: a broken link is an error
	@$(ENVIRONMENT) docs
	@$(BIN)/python tools/site.py

docs-test: ## build the site and look at it, and run every example of README and docs/ (two minutes)
	@$(ENVIRONMENT) dev
	@$(BIN)/pytest -n 2 --dist loadgroup -m docs $(ARGS)

example: ## run a program of examples/ (NAME=monte_carlo, and others: see examples/README.md)
	@$(ENVIRONMENT) examples
	@$(BIN)/python examples/$(or $(NAME),monte_carlo).py $(ARGS)

examples-test: ## run all programs of examples/, the web service and the notebook too, and check what they do
	@$(ENVIRONMENT) dev
	@$(ENVIRONMENT) examples
	@$(BIN)/pytest -m examples $(ARGS) tests/examples

compose-test: ## start docker-compose.yml on podman, kill a node and the server (needs root; about ten minutes)
	@$(ENVIRONMENT) dev
	@$(BIN)/pytest -s -m containers $(ARGS) tests/deploy

check: ## lint, format, types, and the compose file
	@$(ENVIRONMENT) dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	@if [ -x $(BIN)/docker-compose ]; then set -ex; $(BIN)/docker-compose -f docker-compose.yml --profile obs config --quiet; \
	$(BIN)/compose-lint --fail-on low --quiet docker-compose.yml; \
	else echo "skipped docker-compose config and compose-lint: their wheels need Python 3.11"; fi
	@if [ -x $(BIN)/hadolint ]; then set -x; $(BIN)/hadolint deploy/Dockerfile; else echo "skipped hadolint: no wheel of it here"; fi
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

chaos: ## kill, stop and cut off everything while jobs run, and check what came of each (N=100000, SEED=, ARGS=)
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m tests.chaos --jobs $(or $(N),10000) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-mutants: ## break the protocol on purpose, four times, and see that the chaos run finds it
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m tests.chaos.mutants $(ARGS)

bench: ## measure the cost of one job beside Ray, two queues and raw Redis (five minutes)
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: ## the same beside all peers, each in an environment of its own, and all workloads (an hour)
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m benchmarks --peers $(ARGS)

bench-cluster: ## kill, hang and drain workers and nodes of a Ray cluster, and measure the recovery
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m benchmarks.cluster $(ARGS)

bench-payload: ## measure a 16 MiB array there and back beside pickle, and compression (a minute)
	@$(ENVIRONMENT) dev
	@$(BIN)/python -m benchmarks.payload $(ARGS)

thread: ## run examples/work_stealing.py: fast and slow engines share one queue
	@$(ENVIRONMENT) demo
	@$(BIN)/python examples/work_stealing.py $(ARGS)

dist: ## build wheel and sdist, install each into empty environments of every Python from 3.10 to 3.13, and run jobs there
	@$(ENVIRONMENT) dev
	@tools/dist

audit: ## look for known weaknesses and licences in all that pullet installs
	@$(ENVIRONMENT) dev
	@tools/audit

clean: ## remove the environment, caches and build results
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
