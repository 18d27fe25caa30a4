# `make` lists the targets. All that has to be there is make and Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
# One environment, filled in two steps: for the demo, then for the tests and checks.
DEMO_READY := $(VENV)/.demo-ready
READY := $(VENV)/.ready

# PYTHON=python3.13 names one; otherwise the first of these that is new enough.
PYTHONS := $(or $(PYTHON),python3 python3.15 python3.14 python3.13 python3.12 python3.11)

# If the core is wrong, images in use are deleted: each line and branch of it is tested.
PURE_CORE := */ecr_cleaner/core/*

QUICK_TESTS := tests/core tests/report tests/run tests/program
# Those that apply the module to a simulated AWS, or start containers.
E2E_TESTS := tests/e2e tests/terraform/applied
NOT_UNIT := tests/integration tests/terraform tests/bench tests/e2e
# A file's tests share fixtures that take long to set up, so each file runs in one process.
IN_PARALLEL := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

SHELL_SCRIPTS := $(wildcard .ci/*) $(shell find examples lambda_src terraform tests \
	-name .terraform -prune -o -name '*.sh' -print 2>/dev/null)

# Not among the development requirements: 60 MB that only `make lock` needs.
UV_VERSION := 0.13.9
CHECKOV_VENV := .venv-checkov
LOCK_VENV := .venv-lock
LOCK := $(LOCK_VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-config --no-python-downloads --no-strip-extras --quiet $(if $(UPGRADE),--upgrade)

DEMO := examples/demo/requirements
E2E := tests/e2e/requirements

# A Python after 3.15 is taken only if there is no other: the locked packages may not support it.
define FIND_PYTHON
python=; \
for newest in 15 99; do \
	for candidate in $(PYTHONS); do \
		if [ -z "$$python" ] && "$$candidate" -c \
			"import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $$newest))" 2>/dev/null; \
		then python=$$candidate; fi; \
	done; \
done; \
if [ -z "$$python" ]; then \
	echo "Python 3.11 or newer is needed; tried: $(PYTHONS)." \
		"Name another with: make PYTHON=/path/to/python" >&2; \
	exit 1; \
fi; \
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	echo "$$python lacks its venv module (Debian and Ubuntu: apt-get install python3-venv)" >&2; \
	exit 1; \
fi
endef

# Each process of the tests imports the program, and pytest rewrites each test module: keep the
# bytecode, even if the environment says otherwise.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo page picture quick unit test lint lint-terraform format check e2e bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install what the other targets need into .venv

# A change of a lock file recreates the environment, so that no old package stays in it. The first
# lock file is that of pip: the one in Python 3.11 needs twice as long for the others.
$(DEMO_READY): requirements-pip.txt $(DEMO).txt requirements-dev.txt
	@$(FIND_PYTHON); \
	echo "Creating $(VENV) with $$("$$python" --version); this is done once"; \
	"$$python" -m venv --clear $(VENV)
	@.ci/install $(BIN)/python requirements-pip.txt
	@.ci/install $(BIN)/python $(DEMO).txt
	@touch $@

$(READY): $(DEMO_READY)
	@.ci/install $(BIN)/python requirements-dev.txt
	@touch $@

demo: $(DEMO_READY) ## See it work: a small AWS of its own, cleaned dry and then for real
	@PYTHONPATH=lambda_src $(BIN)/python examples/demo/demo.py

quick: setup ## Run the tests of core, report, run and program (T= adds options or selects)
	$(BIN)/pytest $(T) \
		$(if $(filter tests/%,$(T)),,--numprocesses=2 --dist=loadfile $(QUICK_TESTS))

unit: setup ## Run all but integration and benchmark tests (T= adds options or selects)
	$(BIN)/pytest $(T) \
		$(if $(filter tests/%,$(T)),,$(IN_PARALLEL) $(NOT_UNIT:%=--ignore=%))

test: setup ## Run every test but the end-to-end ones, and check the coverage
	$(BIN)/pytest $(E2E_TESTS:%=--ignore=%) $(IN_PARALLEL) --cov
	$(BIN)/coverage report --include='$(PURE_CORE)' --fail-under=100

lint: setup ## Check style, types, import boundaries and shell scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=lambda_src $(BIN)/lint-imports --no-logo
	$(BIN)/shellcheck $(SHELL_SCRIPTS)

format: setup ## Rewrite the code in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python tests/terraform_docs.py
	$(BIN)/python tests/stack_set.py
	PYTHONPATH=lambda_src:tests $(BIN)/python tests/scanned_docs.py
	@if command -v terraform >/dev/null; then terraform fmt -recursive; \
		else echo "terraform fmt: left out, Terraform is not installed"; fi

lint-terraform: $(CHECKOV_VENV)/.installed ## Hold the Terraform code against checkov's rules
	$(CHECKOV_VENV)/bin/checkov --directory terraform --directory examples --framework terraform \
		--skip-download --compact --quiet

# In an environment of its own: it takes 290 MB and pins other versions than the tests.
$(CHECKOV_VENV)/.installed: requirements-checkov.txt | $(DEMO_READY)
	@$(BIN)/python -m venv --clear --without-pip $(CHECKOV_VENV)
	@.ci/install $(CHECKOV_VENV)/bin/python requirements-checkov.txt
	@touch $@

check: lint lint-terraform test ## Everything a change has to pass, but for the end-to-end tests

e2e: setup ## Apply the module, run the container: takes minutes (T= adds options or selects)
	$(BIN)/pytest -m e2e --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(T) \
		$(if $(filter tests/%,$(T)),,$(E2E_TESTS))

bench: setup ## Measure time, memory and calls against a fake AWS of its own: takes minutes
	PYTHONPATH=lambda_src:tests $(BIN)/python -m bench
	PYTHONPATH=lambda_src:tests $(BIN)/python -m bench.kubernetes

page: demo ## Open the page of the demo's account in a browser
	@$(BIN)/python -c 'import pathlib, webbrowser; webbrowser.open(pathlib.Path(".demo/page.html").resolve().as_uri())'

picture: demo setup ## Take the picture of the README again, with Chromium
	@PYTHONPATH=tests:lambda_src $(BIN)/python tests/e2e/picture.py

lock: $(LOCK_VENV)/uv-$(UV_VERSION) ## Pin the requirements anew (UPGRADE=1: to the newest versions)
	$(LOCK) requirements-pip.in --output-file requirements-pip.txt
	$(LOCK) lambda_src/requirements.in --output-file lambda_src/requirements.txt
	$(LOCK) $(DEMO).in --output-file $(DEMO).txt
	$(LOCK) requirements-dev.in --output-file requirements-dev.txt
	$(LOCK) requirements-checkov.in --output-file requirements-checkov.txt
	$(LOCK) $(E2E)/aws-cli.in --output-file $(E2E)/aws-cli.txt
	$(LOCK) $(E2E)/base-image.in --output-file $(E2E)/base-image.txt
	$(LOCK) --no-deps $(E2E)/emulator.in --output-file $(E2E)/emulator.txt

$(LOCK_VENV)/uv-$(UV_VERSION):
	@$(FIND_PYTHON); "$$python" -m venv --clear $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install -qq --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

clean: ## Remove all that the targets made
	rm -rf $(VENV) $(CHECKOV_VENV) $(LOCK_VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache .demo .coverage .coverage.* htmlcov
	find . -name .git -prune -o \( -name __pycache__ -o -name .terraform \) -prune \
		-exec rm -rf {} +
