# Every target makes the virtual environment that it needs; nothing is installed outside this folder,
# but for the Debian packages of the tests' tools, and those only where apt-get may.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test differential check lint types tools fixtures bench fuzz clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m compileall -q preflight
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/installed ## Install, then inspect, check and request the import of two images
	$(BIN)/preflight inspect fixtures/images/accepted.qcow2
	$(BIN)/preflight check fixtures/images/accepted.qcow2
	$(BIN)/preflight payload fixtures/images/accepted.qcow2 --region cn-hangzhou --bucket my-images --image-name demo
	@echo
	@echo '# And one that is refused, with exit code 1:'
	$(BIN)/preflight check --role system fixtures/images/refused.qcow2 || test $$? -eq 1

tools: ## Install the Debian packages whose tools the tests compare with, or name what is missing
	@tests/install-tools

test: .venv/installed-dev tools ## Install what the tests need, then run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/installed-dev ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev ## mypy --strict
	$(BIN)/mypy

differential: .venv/installed-dev tools ## Compare every changed image with the reference tools; takes minutes
	PREFLIGHT_EVERY_MUTATION=1 $(BIN)/python -m pytest tests/test_hostile_differential.py tests/properties

check: lint types test ## Everything that must pass before a push

fixtures: .venv/installed-dev tools ## Make the committed images again from their recipes
	fixtures/make-images

bench: .venv/installed-dev ## Measure speed, reads and memory; the result goes into BENCHMARKS.md
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m compileall -q preflight
	$(BIN)/python -m tests.bench

SECONDS ?= 600

.venv/installed-fuzz: .venv/installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	touch $@

fuzz: .venv/installed-fuzz ## Fuzz all parsers in turn, for SECONDS together
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

clean: ## Remove the virtual environment and all caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
