# Two commands matter: `make up` and `make test`. The rest is for those who build k8slite.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: up down test chaos durability fuzz model overload check bench bench-scheduler clean help

help:
	@echo "make up     a cluster with the example application on this machine"
	@echo "make down   remove it"
	@echo "make test   the whole test suite (installs what tests need)"
	@echo "make chaos  programs killed at random for minutes; make test has small twins of these tests"
	@echo "make durability  API servers killed some 500 times, also at every point of a write, a compaction, a start; files damaged; power failing"
	@echo "make fuzz   the published OpenAPI fuzzed, every group of it; make test has a small twin"
	@echo "make model  RBAC against a reference, 5,000 generated role graphs; make test has 300 of them"
	@echo "make overload  a server flooded by one of its tenants; make test has small twins of these tests"
	@echo "make check  ruff, mypy, import-linter"
	@echo "make bench-scheduler  the cases of scheduler_perf at 1,000 and 5,000 nodes, an hour; ARGS=\"--pods 1000 basic\" for less"
	@echo "make bench  the figures of the README; KUBECONFIG=... measures another cluster"

up: $(VENV)/.installed
	@$(BIN)/k8slite up --install --example

down: $(VENV)/.installed
	@$(BIN)/k8slite down

test: $(VENV)/.tests
	@scripts/prepare-tests
	@scripts/run-tests $(BIN)/python $(ARGS)

chaos: $(VENV)/.tests
	@scripts/prepare-tests
	$(BIN)/python -m pytest tests/chaos -m chaos $(ARGS)

durability: $(VENV)/.tests
	@scripts/prepare-tests
	$(BIN)/python -m pytest tests/chaos/test_apiserver.py tests/chaos/test_points.py \
	    tests/contract/test_damage.py tests/contract/test_power_loss.py -m chaos $(ARGS)

fuzz: $(VENV)/.tests
	$(BIN)/python -m pytest tests/integration/clients -m fuzz $(ARGS)

model: $(VENV)/.tests
	$(BIN)/python -m pytest tests/integration/apiserver/security -m model $(ARGS)

check: $(VENV)/.tests
	scripts/check $(BIN)

overload: $(VENV)/.tests
	$(BIN)/python -m pytest tests/overload -m overload $(ARGS)

bench: $(VENV)/.tests
	@scripts/prepare-tests
	$(BIN)/python -m benchmarks $(if $(KUBECONFIG),--kubeconfig $(KUBECONFIG)) $(ARGS)

bench-scheduler: $(VENV)/.tests
	@scripts/prepare-tests
	$(BIN)/python -m benchmarks.scheduler $(if $(KUBECONFIG),--kubeconfig $(KUBECONFIG)) $(ARGS)

$(VENV)/.installed: pyproject.toml
	@scripts/make-venv $(PYTHON) $(VENV)
	@echo "Installing k8slite into $(VENV)"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.tests: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[test,check]'
	@scripts/install-helm $(BIN)
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
