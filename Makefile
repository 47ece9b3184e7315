# One entry for everything: `make` lists it. Nothing has to be installed by hand but Python and make.
.DEFAULT_GOAL := help

VENV := .venv
READY := $(VENV)/.ready
PY := $(VENV)/bin/python -m
ARGS ?=

# The tests start the program a thousand times: what was compiled once is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## create .venv with everything needed to work on the project
	@echo "$(VENV) is ready: $$($(VENV)/bin/python --version), $$($(PY) pip --version | cut -d ' ' -f 1,2)"

# Renewed when the dependencies change; every target below needs it.
$(READY): pyproject.toml constraints.txt scripts/venv.sh
	@sh scripts/venv.sh $(VENV)
	$(PY) pip install --quiet --no-input --constraint constraints.txt --upgrade pip
	$(PY) pip install --quiet --no-input --constraint constraints.txt --build-constraint constraints.txt \
		--editable '.[demo]' --group dev
	@touch $@

.PHONY: check
check: lint types layers test ## everything CI runs, in the order that fails fastest

.PHONY: lint
lint: $(READY) ## formatting and lint, changing nothing
	$(PY) ruff format --check
	$(PY) ruff check

.PHONY: types
types: $(READY) ## mypy --strict
	$(PY) mypy

.PHONY: layers
layers: $(READY) ## the import contracts
	$(VENV)/bin/lint-imports

.PHONY: test
test: $(READY) ## the tests; one of them: make test ARGS='-k settle'
	$(PY) pytest -n 4 --dist worksteal $(ARGS)

.PHONY: fix
fix: $(READY) ## format, and apply safe fixes
	$(PY) ruff check --fix
	$(PY) ruff format

.PHONY: demo
demo: $(READY) ## the whole job in a scratch tree, without network; it stays with ARGS=--stay
	$(VENV)/bin/comfywatchman demo $(ARGS)

.PHONY: run
run: $(READY) ## the daemon in the foreground, on the scratch ComfyUI tree .scratch/ComfyUI
	@mkdir -p .scratch/ComfyUI/models/checkpoints .scratch/ComfyUI/user/default/workflows
	COMFYWATCHMAN_STATE__DIRECTORY=.scratch/state \
		$(VENV)/bin/comfywatchman run --comfyui-root .scratch/ComfyUI --log-format text $(ARGS)

.PHONY: trial
trial: $(READY) ## the long trials: traps of the hubs, kill -9 fifty times, and what else is marked trial
	$(PY) scripts.resolve_trial
	$(PY) scripts.fault_matrix
	$(PY) pytest -m trial --timeout 3600 $(ARGS)

.PHONY: bench
bench: $(READY) ## how fast and how quiet it is, measured
	$(VENV)/bin/python scripts/bench.py $(ARGS)

.PHONY: soak
soak: $(READY) ## the daemon at work for an hour under random changes and faults; ARGS=180 for seconds
	$(PY) scripts.soak $(ARGS)

.PHONY: accuracy
accuracy: $(READY) ## the analyzer against every official template
	$(VENV)/bin/python scripts/accuracy.py $(ARGS)

.PHONY: catalog
catalog: $(READY) ## build the catalog again from the installed official templates
	$(VENV)/bin/python scripts/build_catalog.py $(ARGS)

.PHONY: docs
docs: $(READY) ## write the documents that are made from the code
	$(PY) comfywatchman.config > docs/settings.md.new
	@mv docs/settings.md.new docs/settings.md

.PHONY: clean
clean: ## remove caches and scratch trees; .venv stays
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .scratch dist build
	find comfywatchman tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
