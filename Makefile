# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
RUN := .venv/bin
TEST := .venv-test/bin
SUPPLY := .venv-supply/bin
PIP := -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test lint format docs chart bench faults endurance fuzz mutate sbom audit lock clean

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/installed ## the embedded federation, probed by the real exporter, until Ctrl-C
	@exec $(RUN)/matrix-federation-exporter demo

test: .venv-test/installed .venv-synapse/installed .venv-supply/installed ## what CI runs: system packages, linters, types, every test
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

bench: .venv-test/installed ## cost, load and truthfulness, against targets (BENCH=quick: a few minutes)
	$(TEST)/python -m tests.bench

faults: .venv-test/installed ## every hostile server, and what the exporter makes of it
	$(TEST)/python -m tests.faults

SBOM := build/sbom.cdx.json

sbom: .venv-supply/installed ## the packages of the exporter as CycloneDX, in build/
	@mkdir -p $(dir $(SBOM))
	PYTHONWARNINGS=ignore $(SUPPLY)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --validate --output-file $(SBOM) requirements/run.txt

UNAUDITED := one of the packages has known vulnerabilities, or the advisories, which are on the network, cannot be had

audit: .venv-supply/installed ## known vulnerabilities of the packages of the exporter; asks the network
	@mkdir -p build
	@timeout 300 $(SUPPLY)/pip-audit --requirement requirements/run.txt --require-hashes --disable-pip --timeout 15 \
	  --progress-spinner off 2>build/audit.log || { tail -n 1 build/audit.log; echo "make audit: $(UNAUDITED)"; exit 1; } >&2

FUZZ_SECONDS ?= 180

fuzz: .venv-fuzz/installed ## FUZZ_SECONDS of coverage-guided fuzzing for each target in FUZZ_TARGETS, or for all
	.venv-fuzz/bin/python -m tests.fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

endurance: .venv-test/installed ## twenty minutes of trouble, and kill -9: nothing may be lost, nothing may grow
	$(TEST)/python -m tests.endurance

mutate: .venv-mutate/installed ## take out every bound and check, one at a time, and see a test fail
	rm -rf mutants
	.venv-mutate/bin/python -m tests.mutation run --max-children 2
	.venv-mutate/bin/python -m tests.mutation results

# With extras, or pip looks for the newest version of what is asked for with one, and finds no hash for it.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-annotate --no-strip-extras --upgrade --quiet

lock: ## choose the newest versions of everything, again (needs uv)
	$(LOCK) pyproject.toml --group build -o requirements/run.txt
	$(LOCK) pyproject.toml --group build --group test --extra uvloop -o requirements/test.txt
	$(LOCK) pyproject.toml --group build --group test --group mutate --extra uvloop -o requirements/mutate.txt
	$(LOCK) pyproject.toml --group build --group fuzz -o requirements/fuzz.txt
	$(LOCK) --group synapse -o requirements/synapse.txt
	$(LOCK) --group supply -o requirements/supply.txt

clean: ## remove what the other targets made
	rm -rf .venv .venv-test .venv-fuzz .venv-mutate .venv-supply .venv-synapse build mutants .coverage

.venv/installed: requirements/run.txt pyproject.toml
.venv-test/installed: requirements/test.txt pyproject.toml
.venv-mutate/installed: requirements/mutate.txt pyproject.toml
.venv/installed .venv-test/installed .venv-mutate/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

NO_WHEEL := atheris is there for Python 3.11 to 3.13, on Linux with an Intel or AMD processor: make fuzz PYTHON=python3.13

.venv-fuzz/installed: requirements/fuzz.txt pyproject.toml
	$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP) --only-binary atheris --require-hashes -r $< || { echo "$(NO_WHEEL)" >&2; exit 1; }
	$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-synapse/installed: requirements/synapse.txt
.venv-supply/installed: requirements/supply.txt
.venv-synapse/installed .venv-supply/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	@touch $@
