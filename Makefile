# Every command there is to learn. Each prepares .venv by itself, from the lock files and with hashes checked, and only when they changed.

SHELL := /bin/sh
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKS := $(addprefix requirements/,run.txt dev.txt image.txt build.txt codegen.txt deployment.txt bench.txt)
TOOLS := .cache/codegen/.ready .cache/deployment/.ready .cache/bench/.ready
NODE_PACKAGES := $(patsubst %/package.json,%/node_modules/.ready,$(wildcard tests/*/package.json clients/*/package.json) web/package.json)
PEERS := .cache/bench/.ready bench/baselines/yoga/node_modules/.ready
PAGE := src/roomcast/web/static/app

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test clients deployment faults simulate chaos bench bench-quick profile fuzz check check-fast check-format check-lint check-types check-imports
.PHONY: check-schema check-described check-released check-hosts check-hashes check-page fmt schema page lock dist clean

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## Start the server; settings come from the environment and .env.
	@exec $(BIN)/roomcast serve

# Tests with Node packages or a browser are a target of their own: together the two would take more than ten minutes.
CLIENT_TESTS := tests/browser tests/clients tests/codegen tests/conformance
TEST := $(BIN)/pytest -m 'not faults and not chaos and not deployment' --numprocesses=2 --dist=loadfile

test: .venv/.dev tests/uploads/node_modules/.ready ## Run the tests, two files at a time; PYTEST_ARGS='-k resume' narrows them.
	@$(TEST) --ignore=tests/deployment $(CLIENT_TESTS:%=--ignore=%) $(PYTEST_ARGS)

clients: .venv/.dev $(NODE_PACKAGES) .cache/codegen/.ready ## Test the pages in Chromium, client libraries and code generators.
	@$(TEST) $(CLIENT_TESTS) $(PYTEST_ARGS)

deployment: .venv/.dev .cache/deployment/.ready ## Build the image, run the files of deploy/ with their own tools, and several processes behind proxies.
	@$(BIN)/pytest -m deployment --numprocesses=2 --dist=loadfile tests/deployment $(PYTEST_ARGS)

faults: .venv/.dev $(NODE_PACKAGES) ## Cut, freeze and kill sockets, servers, brokers and databases, in short forms (some minutes).
	@$(BIN)/pytest -m '(faults or chaos) and not deployment' --ignore=tests/deployment --numprocesses=2 --dist=loadgroup $(PYTEST_ARGS)

simulate: .venv/.dev ## Run SEEDS=10000 seeds of the simulation; SIMULATE_ARGS='--world sockets --seed 7' replays one.
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) $(SIMULATE_ARGS)

chaos: .venv/.dev ## Kill sockets, servers, brokers and databases for long, in full numbers (an hour, alone on two cores).
	@ROOMCAST_TEST_CHAOS=full $(BIN)/pytest -m "chaos or faults" -v --durations=20 $(PYTEST_ARGS)

bench: .venv/.dev ## Measure everything beside its baselines and write bench/RESULTS.md (twenty minutes).
	@$(INSTALL_PEERS)
	@$(BIN)/python -m bench

bench-quick: .venv/.dev ## The same in small: that it runs, without judging.
	@$(INSTALL_PEERS)
	@$(BIN)/python -m bench --quick

# Where they cannot be installed, the rows of the table say so.
INSTALL_PEERS = $(MAKE) --no-print-directory --keep-going $(PEERS) || echo 'set-up    not all peers could be installed'

profile: .venv/.dev ## Say which part of a request takes how much of its time.
	@$(BIN)/python -m bench.profile

fuzz: .venv/.dev ## Throw tens of thousands of requests and frames at a server; FUZZ_CASES=10000 of each kind.
	@ROOMCAST_TEST_FUZZ_CASES=$(or $(FUZZ_CASES),5000) $(BIN)/pytest tests/edge/test_fuzz.py $(PYTEST_ARGS)

check: check-fast check-schema check-described check-released check-hosts check-hashes check-page ## Everything but the tests: the rules, the schema, the lock files, the page.

check-fast: check-format check-lint check-types check-imports ## The rules alone: format, lint, types, who imports whom.

# $(call step,name,command): one line when the command passes, all it said when it does not.
step = @printf '%-9s ' '$(1)'; if said=$$({ $(2); } 2>&1); then echo ok; else echo failed; printf '%s\n' "$$said"; exit 1; fi

check-format: .venv/.dev
	$(call step,format,$(BIN)/ruff format --check .)

check-lint: .venv/.dev
	$(call step,lint,$(BIN)/ruff check .)

check-types: .venv/.dev
	$(call step,types,$(BIN)/mypy)

check-imports: .venv/.dev
	$(call step,imports,$(BIN)/lint-imports --no-logo)

EXPORT_SCHEMA = mkdir -p .cache && $(BIN)/roomcast export-schema > .cache/schema.graphql
SCHEMA_DIFFERS = { echo 'schema.graphql is not what the code serves: run make schema, and read what it changes.'; false; }

check-schema: .venv/.dev
	$(call step,schema,$(EXPORT_SCHEMA) && { diff -u schema.graphql .cache/schema.graphql || $(SCHEMA_DIFFERS); })

check-described: .venv/.dev
	$(call step,described,$(BIN)/python -m tests.schema.descriptions)

# Against schemas/released.graphql, the schema of the last release; it says itself what it found.
check-released: .venv/.dev
	@printf '%-9s ' released; $(BIN)/python -m tests.schema.changes

# A lock file with an address in it would send everybody to the package index of whoever made it.
check-hosts:
	$(call step,hosts,! grep -nEi '://|index-url|find-links|trusted-host' $(LOCKS) \
	  && ! grep -rnE --include=package-lock.json --exclude-dir=node_modules --exclude-dir=.venv '"resolved": *"http' .)

check-hashes:
	$(call step,hashes,awk '/^[A-Za-z0-9]/ && !/==.*\\$$/ {print FILENAME ": " $$0; bad = 1} END {exit bad}' $(LOCKS))

BUILD_PAGE = npm run --silent check && npm run --silent build --
PAGE_DIFFERS = { echo '$(PAGE) is not what web/ builds: run make page.'; false; }

# Types against the schema, then a build beside the committed one. A machine without Node serves the page and cannot check it.
ifeq ($(shell command -v npm),)
check-page:
	@echo 'page      not checked: npm was not found'; test -z "$$CI"
else
check-page: $(patsubst %,%/node_modules/.ready,web clients/js clients/react clients/element)
	$(call step,clients,for name in js react element; do (cd clients/$$name && npm run --silent check) || exit; done)
	$(call step,page,cd web && $(BUILD_PAGE) --outDir ../.cache/page && { diff -r ../.cache/page ../$(PAGE) || $(PAGE_DIFFERS); })
endif

fmt: .venv/.dev ## Format the code and mend what ruff can mend.
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

schema: .venv/.run ## Rewrite schema.graphql from the code.
	@$(EXPORT_SCHEMA)
	@if cmp -s .cache/schema.graphql schema.graphql; then echo 'schema.graphql is up to date'; \
	else mv .cache/schema.graphql schema.graphql && echo 'schema.graphql rewritten'; fi

page: web/node_modules/.ready ## Rebuild the chat page from web/.
	@cd web && $(BUILD_PAGE)

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --annotation-style line $(LOCK_ARGS)
LOCK = $(COMPILE) pyproject.toml requirements/build.in
PINNED = --constraint requirements/dev.txt
IMAGE_EXTRAS = redis media push s3 nats otel

lock: $(BIN)/uv ## Pin the dependencies of pyproject.toml; LOCK_ARGS=--upgrade moves them.
	@$(LOCK) --all-extras --group dev --output-file requirements/dev.txt
	@$(LOCK) --extra redis --extra media --extra push $(PINNED) --output-file requirements/run.txt
	@$(COMPILE) pyproject.toml $(IMAGE_EXTRAS:%=--extra %) $(PINNED) --output-file requirements/image.txt
	@$(COMPILE) requirements/build.in $(PINNED) --output-file requirements/build.txt
	@for tools in codegen deployment bench; do $(COMPILE) requirements/$$tools.in --output-file requirements/$$tools.txt; done
	@$(MAKE) --no-print-directory check-hosts check-hashes

dist: .venv/.dev ## Build the wheel into dist/.
	@$(BIN)/hatchling build --target wheel

clean: ## Remove all that these commands made; ./data stays.
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist tests/*/node_modules bench/baselines/*/node_modules clients/*/node_modules web/node_modules
	@find . -name __pycache__ -prune -exec rm -rf {} +

# ------------------------------------------------------------------ how .venv comes to be

install = @echo 'set-up    requirements/$(1).txt into .venv (half a minute, once)' \
  && $(PIP) install -qq --require-hashes --no-deps --only-binary :all: --requirement requirements/$(1).txt \
  && $(PIP) install -qq --no-deps --no-build-isolation --editable . \
  && if ! broken=$$($(PIP) check); then echo "$$broken"; echo 'The lock files do not fit pyproject.toml: run make lock.'; exit 1; fi

.venv/.run: requirements/run.txt pyproject.toml | $(BIN)/python $(BIN)/pip
	$(call install,run)
	@touch $@

# What dev.txt pins contains what run.txt pins, so one installation serves both.
.venv/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python $(BIN)/pip
	$(call install,dev)
	@touch .venv/.run $@

# Tools that the tests run. Their dependencies do not fit ours, or they are large, so they have their own environments.
$(TOOLS): .cache/%/.ready: requirements/%.txt .venv/.dev
	@echo 'set-up    requirements/$*.txt into .cache/$*' && $(BIN)/python -m venv --clear --without-pip .cache/$*
	@$(PIP) --python .cache/$* install -qq --require-hashes --no-deps --only-binary :all: --requirement requirements/$*.txt
	@touch $@

# The Python that a .venv links to may have gone since: then all of it is made anew.
ifneq ($(shell test -x $(BIN)/python || echo gone),)
.PHONY: .venv/.run .venv/.dev
endif

$(BIN)/pip: | $(BIN)/python
	@$(BIN)/python -m ensurepip --default-pip > /dev/null

$(BIN)/uv: | $(BIN)/pip
	@$(PIP) install -qq uv

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue; \
	  bare=$$python; "$$python" -c 'import ensurepip, venv' 2> /dev/null || continue; \
	  echo "set-up    .venv with $$("$$python" --version)"; exec "$$python" -m venv --clear --without-pip .venv; \
	done; \
	if [ -n "$$bare" ]; then echo "$$bare cannot make a virtual environment. Debian, Ubuntu: apt-get install python3-venv"; \
	else echo 'No Python 3.11 or newer was found. Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python.'; \
	  echo 'If it has another name: make PYTHON=/path/to/python ...'; fi >&2; exit 1

%/node_modules/.ready: %/package.json %/package-lock.json
	@if command -v npm > /dev/null; then \
	  echo 'set-up    npm ci in $*' && cd $* && npm ci --no-audit --no-fund --loglevel=error \
	    && mkdir -p node_modules && touch node_modules/.ready; \
	else echo 'set-up    npm was not found: the tests that run JavaScript cannot run (Debian, Ubuntu: apt-get install npm)'; fi
