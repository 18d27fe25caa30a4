# `make` lists the targets. All that has to be there is make and Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# PYTHON=python3.13 names one; otherwise the first of these that is new enough.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

# If the core is wrong, images in use are deleted: each line and branch of it is tested.
PURE_CORE := */ecr_cleaner/core/*

SHELL_SCRIPTS := .ci/run $(shell find examples lambda_src terraform tests \
	-name .terraform -prune -o -name '*.sh' -print 2>/dev/null)

# Not among the development requirements: 60 MB that only `make lock` needs.
UV_VERSION := 0.13.9
CHECKOV_VENV := .venv-checkov
LOCK_VENV := .venv-lock
LOCK := $(LOCK_VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-config --no-python-downloads --no-strip-extras --quiet $(if $(UPGRADE),--upgrade)

E2E := tests/e2e/requirements

PIP_OPTIONS := --quiet --disable-pip-version-check

define FIND_PYTHON
python=; \
for candidate in $(PYTHONS); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		python=$$candidate; break; \
	fi; \
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

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint lint-terraform format check e2e bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install what the other targets need into .venv

$(STAMP): requirements-dev.txt
	@$(FIND_PYTHON); \
	echo "Installing into $(VENV) with $$("$$python" --version); this is done once"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r requirements-dev.txt
	@touch $@

demo: setup ## See it work: a small AWS of its own, cleaned dry and then for real
	@PYTHONPATH=lambda_src $(BIN)/python examples/demo/demo.py

test: setup ## Prove it: every test but the end-to-end ones, and the coverage gates
	$(BIN)/pytest -m 'not e2e' --cov
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
	@if command -v terraform >/dev/null; then terraform fmt -recursive; \
		else echo "terraform fmt: left out, Terraform is not installed"; fi

lint-terraform: $(CHECKOV_VENV)/.installed ## Hold the Terraform code against checkov's rules
	$(CHECKOV_VENV)/bin/checkov --directory terraform --directory examples --framework terraform \
		--skip-download --compact --quiet

# In an environment of its own: it takes 290 MB and pins other versions than the tests.
$(CHECKOV_VENV)/.installed: requirements-checkov.txt
	@$(FIND_PYTHON); "$$python" -m venv --clear $(CHECKOV_VENV)
	@$(CHECKOV_VENV)/bin/python -m pip install $(PIP_OPTIONS) --require-hashes \
		-r requirements-checkov.txt
	@touch $@

check: lint lint-terraform test ## Everything a change has to pass, but for the end-to-end tests

e2e: setup ## Real Terraform, real container: takes minutes
	$(BIN)/pytest -m e2e tests/e2e

bench: setup ## Measure time, memory and calls against a fake AWS of its own: takes minutes
	PYTHONPATH=lambda_src:tests $(BIN)/python -m bench
	PYTHONPATH=lambda_src:tests $(BIN)/python -m bench.kubernetes

lock: $(LOCK_VENV)/uv-$(UV_VERSION) ## Pin the requirements anew (UPGRADE=1: to the newest versions)
	$(LOCK) lambda_src/requirements.in --output-file lambda_src/requirements.txt
	$(LOCK) requirements-dev.in --output-file requirements-dev.txt
	$(LOCK) requirements-checkov.in --output-file requirements-checkov.txt
	$(LOCK) $(E2E)/aws-cli.in --output-file $(E2E)/aws-cli.txt
	$(LOCK) $(E2E)/base-image.in --output-file $(E2E)/base-image.txt
	$(LOCK) --no-deps $(E2E)/emulator.in --output-file $(E2E)/emulator.txt

$(LOCK_VENV)/uv-$(UV_VERSION):
	@$(FIND_PYTHON); "$$python" -m venv --clear $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install $(PIP_OPTIONS) uv==$(UV_VERSION)
	@touch $@

clean: ## Remove all that the targets made
	rm -rf $(VENV) $(CHECKOV_VENV) $(LOCK_VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache .coverage .coverage.* htmlcov
	find . -name .git -prune -o \( -name __pycache__ -o -name .terraform \) -prune \
		-exec rm -rf {} +
