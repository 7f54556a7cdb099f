# Everything that a developer runs. Each target first makes what it needs and prints that; a second run makes nothing.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
PACKAGES := $(VENV)/packages.stamp
# Each process starts servers of its own when its tests need them. Three keep two cores busy: many tests wait for servers.
TEST_PROCESSES ?= 3
BOUNDS = $(PYTHON) -m benchmarks.bounds --to $(or $(TO),build/bounds) $(if $(MODEL),--model $(MODEL))

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- what the targets need ------------------------------------------------------------------------------------

$(VENV)/bin/uv:
	@tools/system_packages.sh need python venv
	@echo "Making the virtual environment in $(VENV)"
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet uv

$(PACKAGES): pyproject.toml $(VENV)/bin/uv
	@echo "Installing Triptych with all its extras (the first time this fetches several gigabytes)"
	@$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(PYTHON) --editable '.[producers,transcribe,worker,cpu,onnx,foundation,train,compress,medical,consumers,describe,mqtt,page,index,postgres,ask,recommend,trace,export,librdkafka,docs,dev]'
	@touch $@

.PHONY: broker
broker: $(PACKAGES)
	@tools/system_packages.sh need java mvn
	@$(PYTHON) -m tools.devservers fetch

.PHONY: page
page: ## Build the front end of `triptych page`; npm is needed to build it, never to run it
	@tools/system_packages.sh need npm
	@python3 tools/build_page.py

.PHONY: check-page
check-page: page ## Check the types and the style of the front end, and of the client in examples/typescript
	@echo "Page" && cd page && npm run --silent check && npm run --silent lint
	@echo "TypeScript client" && python3 -m tools.build_typescript_client --lint

.PHONY: weights
weights: $(PACKAGES)
	@$(VENV)/bin/triptych models pull

# --- what a developer runs --------------------------------------------------------------------------------------

.PHONY: setup
setup: $(PACKAGES) weights broker ## Make the virtual environment, fetch the weights and a broker
	@tools/system_packages.sh need redis-server
	@echo "Ready: $(VENV)/bin/triptych --help"

.PHONY: demo
demo: $(PACKAGES) weights $(if $(PAGE),page) ## Play the sample clips through the whole pipeline, without a server; PAGE=1 shows them in a browser
	@$(VENV)/bin/triptych demo $(if $(PAGE),--page)

.PHONY: demo-kafka
demo-kafka: $(PACKAGES) weights broker ## Run the demo through a real Kafka and a real Redis, which it starts and stops
	@tools/system_packages.sh need java redis-server
	@$(PYTHON) -m tools.demo_kafka

.PHONY: test
test: $(PACKAGES) weights ## Run all tests; those that need a missing server are skipped with the reason
	@$(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: test-quick
test-quick: $(PACKAGES) weights ## Run the quick tests that need no server, in about three minutes on two cores
	@$(PYTHON) -m pytest --quick --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

COMPILED := build/compiled
.PHONY: test-compiled
test-compiled: $(PACKAGES) ## Compile the modules of every record with mypyc, and run their tests on the compiled ones
	@$(PYTHON) -m tools.compiled $(COMPILED)
	@TRIPTYCH_COMPILED=$(COMPILED) PYTHONPATH=$(COMPILED) $(PYTHON) -m pytest tests/tools/test_compiled.py \
		tests/worker/alignment tests/worker/partitions tests/worker/test_pipeline.py

.PHONY: check
check: $(PACKAGES) ## Check format, lint, types, imports and structure
	@echo "Format" && $(VENV)/bin/ruff format --check --quiet .
	@echo "Lint" && $(VENV)/bin/ruff check --quiet .
	@echo "Types" && $(VENV)/bin/mypy --no-error-summary core schemas transport models producers worker consumers training app tools examples
	@echo "Imports" && $(VENV)/bin/lint-imports --no-logo >$(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@echo "Structure" && $(PYTHON) -m tools.structure
	@echo "Reference" && $(PYTHON) -m tools.reference --check
	@echo "Dashboards" && $(PYTHON) -m tools.dashboards --check

.PHONY: docs
docs: site ## Build the documentation strictly and serve it on 127.0.0.1:8000; SERVE=0 only builds it
	@[ "$(or $(SERVE),1)" = 0 ] || [ "$(CI)" = true ] || NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs serve

.PHONY: site
site: $(PACKAGES)
	@echo "Documentation" && NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict 2>$(VENV)/site.log || { cat $(VENV)/site.log; exit 1; }

.PHONY: reference
reference: $(PACKAGES) ## Generate docs/reference, the contract's documents, the dashboards and the structure table from the code
	@$(PYTHON) -m tools.reference
	@$(PYTHON) -m tools.contract
	@$(PYTHON) -m tools.dashboards
	@$(PYTHON) -m tools.structure --update

.PHONY: lock
lock: $(PACKAGES) ## Lock the packages of the images in docker/, with checksums
	@UV=$(VENV)/bin/uv docker/lock.sh

.PHONY: test-containers
test-containers: $(PACKAGES) ## Build the images and run the Compose file with a real engine; NETWORK=host RESTART='systemctl restart docker'
	@$(PYTHON) -m tests.containers $(if $(NETWORK),--build-network $(NETWORK)) $(if $(RESTART),--restart-engine '$(RESTART)')

.PHONY: format
format: $(PACKAGES) ## Format the code and apply the linter's fixes
	@$(VENV)/bin/ruff check --quiet --fix-only .
	@$(VENV)/bin/ruff format --quiet .

.PHONY: ci
ci: check check-page site ## Run all of CI: checks, site, and the tests in a clean clone, where a missing server is an error
	@tools/system_packages.sh need python venv java mvn npm chromium chinese-font redis-server kcat openssl rtsp-server benchmark-parts prometheus mosquitto systemd-analyze
	@tools/clean_clone.sh make test

.PHONY: kafka
kafka: $(PACKAGES) broker ## Run a development broker on 127.0.0.1:9092 until Ctrl-C
	@$(PYTHON) -m tools.devservers kafka

.PHONY: redis
redis: $(PACKAGES) ## Run a development Redis on 127.0.0.1:6379 until Ctrl-C
	@tools/system_packages.sh need redis-server
	@$(PYTHON) -m tools.devservers redis

.PHONY: live-soak
live-soak: $(PACKAGES) broker ## Play two cameras, a channel and a film for MINUTES=10 while their connections are broken
	@tools/system_packages.sh need redis-server rtsp-server
	@$(PYTHON) -m tests.live_soak --minutes $(or $(MINUTES),10) $(if $(MODEL),--model $(MODEL))

.PHONY: chaos
chaos: $(PACKAGES) broker ## Kill, stop, freeze and disconnect servers and workers for MINUTES=3; SEED=7 DELIVERY=exactly_once
	@tools/system_packages.sh need java redis-server
	@$(PYTHON) -m tests.chaos --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) \
		$(if $(DELIVERY),--delivery $(DELIVERY)) $(if $(PAUSE),--pause $(PAUSE)) $(if $(AWAY),--away $(AWAY)) \
		$(if $(BUG),--bug $(BUG)) $(if $(CLIENT),--client $(CLIENT)) \
		$(if $(DASHBOARDS),--dashboards $(DASHBOARDS))

.PHONY: outages
outages: $(PACKAGES) broker ## Take away broker, producer and link, one after another; count windows that lack what was sent
	@tools/system_packages.sh need java redis-server
	@$(PYTHON) -m tests.outages $(if $(ONLY),--only "$(ONLY)") $(if $(LATE),--late $(LATE)) $(if $(BUG),--bug $(BUG))

.PHONY: bench-search
bench-search: $(PACKAGES) ## Write and search an index of a million generated windows; WINDOWS=N
	@$(PYTHON) -m benchmarks.search --windows $(or $(WINDOWS),1000000)

.PHONY: bench-search-quality
bench-search-quality: $(PACKAGES) weights ## Measure how well a search finds known moments, in rendered feeds and clips; MEDIA=FOLDER
	@tools/system_packages.sh need benchmark-parts
	@$(PYTHON) -m benchmarks.search_quality $(if $(MEDIA),--media $(MEDIA)) $(if $(JSON),--json $(JSON))

.PHONY: bench-ask
bench-ask: $(PACKAGES) ## Ask generated feeds with known content questions in English and Chinese; DRAWS=2 questions a phrasing
	@$(PYTHON) -m benchmarks.asking --draws $(or $(DRAWS),2)

.PHONY: bench-recommend
bench-recommend: $(PACKAGES) ## Recommend to generated users with known taste, against each part alone; USERS=N MOVIELENS=FOLDER
	@$(PYTHON) -m benchmarks.recommend --users $(or $(USERS),2000) $(if $(MOVIELENS),--movielens $(MOVIELENS))

.PHONY: bench
bench: $(PACKAGES) weights broker ## Measure each part beside its limit, and write docs/performance.md; NAME="road decode" ROUNDS=3
	@tools/system_packages.sh need java redis-server
	@rm -f build/bench.jsonl
	@$(PYTHON) -m tools.compiled $(COMPILED)
	@$(PYTHON) -m benchmarks $(NAME) --rounds $(or $(ROUNDS),3) --json build/bench.jsonl
	@[ -n "$(NAME)" ] || $(PYTHON) -m benchmarks --json build/bench.jsonl --page docs/performance.md

.PHONY: bench-gpu
bench-gpu: $(PACKAGES) weights ## Check each part of a GPU's path against the CPU, and time it, within ten minutes
	@$(PYTHON) -m benchmarks.gpu

.PHONY: bench-workers
bench-workers: $(PACKAGES) broker ## Measure WORKERS="1 2 4 8" on one broker: throughput, and pauses at a join and a kill
	@tools/system_packages.sh need java redis-server
	@$(PYTHON) -m benchmarks.scaling.workers --workers $(or $(WORKERS),1 2 4 8)

.PHONY: soak
soak: $(PACKAGES) broker ## Play HOURS=24 of STREAMS=8 feeds as fast as the worker can; table and plot in TO=build/bounds
	@tools/system_packages.sh need java redis-server
	@$(BOUNDS) soak --hours $(or $(HOURS),24) --streams $(or $(STREAMS),8)

.PHONY: backlog
backlog: $(PACKAGES) broker ## Replay GIGABYTES=10 whose tracks are far apart in event time; measures the memory held
	@tools/system_packages.sh need java redis-server
	@$(BOUNDS) backlog --gigabytes $(or $(GIGABYTES),10)

.PHONY: churn
churn: $(PACKAGES) broker ## Start and end FEEDS=1000 short feeds, ROUNDS=10 times; measures that nothing is kept
	@tools/system_packages.sh need java redis-server
	@$(BOUNDS) churn --feeds $(or $(FEEDS),1000) --rounds $(or $(ROUNDS),10)

.PHONY: stamps
stamps: $(PACKAGES) weights ## Train the content model on the stamps of Tux Paint and evaluate it; to TO=build/content
	@tools/system_packages.sh need stamps
	@$(VENV)/bin/triptych stamps --out $(or $(TO),build/content)

.PHONY: secured
secured: $(PACKAGES) broker ## Run a Kafka and a Redis with TLS, logins and access rules until Ctrl-C; settings in secured/
	@tools/system_packages.sh need redis-server openssl
	@$(PYTHON) -m tools.devservers secured secured

.PHONY: clean
clean: ## Remove what the targets made here; the user's cache of weights and broker stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		page/node_modules consumers/triptych/consumers/page/static
