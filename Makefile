# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
RUN := .venv/bin
TEST := .venv-test/bin
PIP := -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test lint format docs chart bench faults lock clean

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/installed ## the embedded federation, probed by the real exporter, until Ctrl-C
	@exec $(RUN)/matrix-federation-exporter demo

test: .venv-test/installed .venv-synapse/installed ## what CI runs: system packages, linters, types, every test
	tests/install-programs
	$(MAKE) --no-print-directory lint
	$(TEST)/python -m pytest --cov

lint: .venv-test/installed ## ruff and mypy
	$(TEST)/ruff format --check
	$(TEST)/ruff check
	$(TEST)/mypy

format: .venv-test/installed ## write the code as ruff would
	$(TEST)/ruff format
	$(TEST)/ruff check --fix

docs: .venv-test/installed ## write the pages and dashboards that are generated from the code
	$(TEST)/python -m docs.generate
	$(TEST)/python -m grafana.generate
	$(MAKE) --no-print-directory chart

CHART := deploy/helm/matrix-federation-exporter/files

chart: ## copy rules and dashboards into the Helm chart
	rm -rf $(CHART)
	mkdir -p $(CHART)/rules $(CHART)/dashboards
	cp deploy/prometheus/rules/*.yml $(CHART)/rules
	cp grafana/dashboards/*.json $(CHART)/dashboards

bench: .venv-test/installed ## cost and truthfulness, as ratios
	$(TEST)/python -m tests.bench

faults: .venv-test/installed ## every hostile server, and what the exporter makes of it
	$(TEST)/python -m tests.faults

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-annotate --upgrade --quiet

lock: ## choose the newest versions of everything, again (needs uv)
	$(LOCK) pyproject.toml --group build -o requirements/run.txt
	$(LOCK) pyproject.toml --group build --group test -o requirements/test.txt
	$(LOCK) --group synapse -o requirements/synapse.txt

clean: ## remove what the other targets made
	rm -rf .venv .venv-test .venv-synapse build .coverage

.venv/installed: requirements/run.txt pyproject.toml
.venv-test/installed: requirements/test.txt pyproject.toml
.venv/installed .venv-test/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-synapse/installed: requirements/synapse.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	@touch $@
