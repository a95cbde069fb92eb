# The two most important commands are `make demo` and `make test`.
PYTHON ?= python3
RUN := .venv/bin
TEST := .venv-test/bin
SUPPLY := .venv-supply/bin
export PYTHONDONTWRITEBYTECODE := # compiled modules make the next run start faster
NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
PIP := -m pip --disable-pip-version-check install --quiet

.PHONY: help demo demo-synapse test check lint format docs site chart deb screenshots bench faults agreement fuzz-federations \
  endurance siege fuzz mutate mutate-functions sbom audit lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: .venv/installed ## run the exporter against the embedded federation, until Ctrl-C
	@exec $(RUN)/matrix-federation-exporter demo

demo-synapse: .venv/installed .venv-synapse/installed ## run it beside three real Synapses, to break and to repair, until Ctrl-C
	@exec $(RUN)/python -m deploy.demo

test: .venv-test/installed .venv-synapse/installed .venv-supply/installed .venv-site/installed .venv-pythons/installed ## run everything that CI runs: system packages, linters, types, every test
	tests/install-programs
	$(MAKE) --no-print-directory .npm-drawing/installed
	$(MAKE) --no-print-directory lint
	$(TEST)/python -m pytest -n auto --cov

# Markers of tests, which pyproject.toml explains.
SLOW := synapse or system or soak or matrix or prometheus or subprocess or silence or lab or fuzz

check: .venv-test/installed ## run linters, types and the fast tests: no root, no system packages
	$(MAKE) --no-print-directory lint
	$(TEST)/python -m pytest -n auto -m "not ($(SLOW))"

lint: .venv-test/installed ## run ruff and mypy
	$(TEST)/ruff format --check
	$(TEST)/ruff check
	$(TEST)/mypy

format: .venv-test/installed ## format the code with ruff
	$(TEST)/ruff format
	$(TEST)/ruff check --fix

docs: .venv-test/installed ## generate pages and dashboards from the code
	$(TEST)/python -m docs.generate
	$(TEST)/python -m grafana.generate
	$(MAKE) --no-print-directory chart

SITE := build/site

site: .venv-site/installed ## build the documentation as a web site, in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml \
	  --site-dir $(abspath $(SITE))

CHART := deploy/helm/matrix-federation-exporter/files

chart: ## copy the dashboards into the Helm chart
	rm -rf $(CHART)/dashboards
	mkdir -p $(CHART)/dashboards
	cp grafana/dashboards/*.json $(CHART)/dashboards

deb: ## build the Debian package in build/deb (needs Debian 12, build-essential, debhelper and python3-venv)
	deploy/debian/build build/deb

screenshots: .venv-test/installed .npm-drawing/installed ## take the screenshots of pages and dashboards for the documentation (needs chromium, prometheus, npm)
	$(TEST)/python -m tests.e2e.screenshots
	$(TEST)/python -m tests.e2e.dashboard_screenshots

bench: .venv-test/installed ## measure cost, load and accuracy, and compare with the targets (BENCH=quick: a few minutes)
	$(TEST)/python -m tests.bench

faults: .venv-test/installed ## probe every hostile server, and show the outcome
	$(TEST)/python -m tests.faults

agreement: .venv-test/installed .venv-synapse/installed ## compare the verdicts with what real homeservers do (needs root)
	EXPORTER="$(CURDIR)/$(TEST)/python -m exporter" $(TEST)/python tests/agreement/kit/run_agreement.py
	$(TEST)/python -m tests.agreement.again

FEDERATIONS ?= 500

fuzz-federations: .venv-test/installed .venv-synapse/installed ## set FEDERATIONS of random faults before Synapse and the exporter, by SEED (needs root)
	EXPORTER="$(CURDIR)/$(TEST)/python -m exporter" $(TEST)/python -m tests.agreement.fuzz --count $(FEDERATIONS) \
	  $(if $(SEED),--seed $(SEED))

SBOM := build/sbom.cdx.json

sbom: .venv-supply/installed ## list the packages of the exporter in the CycloneDX format, in build/
	@mkdir -p $(dir $(SBOM))
	PYTHONWARNINGS=ignore $(SUPPLY)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --validate --output-file $(SBOM) requirements/run.txt

UNAUDITED := a package has known vulnerabilities, or the advisories could not be downloaded

audit: .venv-supply/installed ## check the packages of the exporter for known vulnerabilities (needs the Internet)
	@mkdir -p build
	@timeout 300 $(SUPPLY)/pip-audit --requirement requirements/run.txt --require-hashes --disable-pip --timeout 15 \
	  --progress-spinner off 2>build/audit.log || { tail -n 1 build/audit.log; echo "make audit: $(UNAUDITED)"; exit 1; } >&2

FUZZ_SECONDS ?= 180

fuzz: .venv-fuzz/installed ## run coverage-guided fuzzing for FUZZ_SECONDS on each of FUZZ_TARGETS (default: all)
	.venv-fuzz/bin/python -m tests.fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

endurance: .venv-test/installed ## run twenty minutes of faults and kill -9: nothing may be lost, nothing may grow
	$(TEST)/python -m tests.endurance

siege: .venv-test/installed ## run every attack at once for five minutes, in one process and with workers (SIEGE_ATTACKS, SIEGE_SECONDS)
	$(TEST)/python -m tests.siege

mutate: .venv-mutate/installed ## remove every bound and check, one at a time, and see whether a test fails
	rm -rf mutants
	.venv-mutate/bin/python -m tests.mutation run --max-children 2
	.venv-mutate/bin/python -m tests.mutation results

mutate-functions: .venv-test/installed ## let every public function of model, judging and probing raise, and return nothing, and see whether a test fails
	$(TEST)/python -m tests.mutation.functions

# Keep extras: otherwise pip looks for the newest version of a package that is required with an extra, and finds no
# hash for it.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-annotate --no-strip-extras --upgrade --quiet

lock: ## update all locked packages to their newest versions (needs uv)
	$(LOCK) pyproject.toml --group build -o requirements/run.txt
	$(LOCK) pyproject.toml --group build --group test --extra uvloop -o requirements/test.txt
	$(LOCK) pyproject.toml --group build --group test --group mutate --extra uvloop -o requirements/mutate.txt
	$(LOCK) pyproject.toml --group build --group fuzz -o requirements/fuzz.txt
	$(LOCK) --group synapse -o requirements/synapse.txt
	$(LOCK) --group supply -o requirements/supply.txt
	$(LOCK) --group site -o requirements/site.txt

clean: ## remove everything that the other targets created
	rm -rf .venv .venv-test .venv-fuzz .venv-mutate .venv-site .venv-supply .venv-synapse .venv-pythons .npm-drawing build mutants .coverage

.venv/installed: requirements/run.txt pyproject.toml
.venv-test/installed: requirements/test.txt pyproject.toml
.venv-mutate/installed: requirements/mutate.txt pyproject.toml
.venv/installed .venv-test/installed .venv-mutate/installed:
	@$(PYTHON) -c $(NEW_ENOUGH)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

NO_WHEEL := atheris is available for Python 3.11 to 3.13, on Linux with an Intel or AMD processor: make fuzz PYTHON=python3.13

.venv-fuzz/installed: requirements/fuzz.txt pyproject.toml
	$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP) --only-binary atheris --require-hashes -r $< || { echo "$(NO_WHEEL)" >&2; exit 1; }
	$(@D)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv-synapse/installed: requirements/synapse.txt
.venv-supply/installed: requirements/supply.txt
.venv-site/installed: requirements/site.txt
.venv-synapse/installed .venv-supply/installed .venv-site/installed:
	@$(PYTHON) -c $(NEW_ENOUGH)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --require-hashes -r $<
	@touch $@

PYTHONS := 3.11 3.12 3.13

.venv-pythons/installed: requirements/run.txt pyproject.toml tests/install-pythons
	@mkdir -p $(@D)
	tests/install-pythons $(PYTHONS)
	@touch $@

NPM := npm ci --ignore-scripts --no-audit --no-fund --loglevel error
NO_NPM := npm is not installed: the tests that draw dashboards will be skipped

.npm-drawing/installed: tests/grafana/browser/package-lock.json
	@mkdir -p $(@D)
	@cp $(<D)/package.json $< $(@D)
	@if command -v npm >/dev/null; then cd $(@D) && $(NPM) && touch $(@F); else echo "$(NO_NPM)"; fi
