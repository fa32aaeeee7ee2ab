# `make up` on a fresh Debian or Ubuntu machine runs a whole cluster; `make test` checks everything.
# The targets that act on a running cluster take FOLDER=..., as `up` does.

SHELL := /bin/sh
CARGO ?= cargo
GANGLION = $(if $(wildcard target/release/ganglion),target/release/ganglion,target/debug/ganglion)
IN = $(if $(FOLDER),--folder $(FOLDER))
BINARIES = --bin client-reader --bin event-persister --bin pusher --bin ganglion

.DEFAULT_GOAL := help
.PHONY: help setup up down status logs scale fmt lint layers test test-unit model complement helm proto

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

setup: ## Installs PostgreSQL, Redis, HAProxy and PgBouncer if they are missing
	@deploy/setup.sh

up: setup ## Builds and runs a cluster until Ctrl-C; UP="--server-name example.org ..." goes to `ganglion up`
	@$(CARGO) build --release --locked $(BINARIES)
	@exec target/release/ganglion up --die-with-parent $(IN) $(UP)

down: ## Ends the cluster
	@$(GANGLION) down $(IN)

status: ## Shows its processes
	@$(GANGLION) status $(IN)

logs: ## Follows its logs; NAME=client-reader-1 only one
	@$(GANGLION) logs $(NAME) $(IN)

scale: ## Changes how many of a role run: ROLE=client-reader N=4
	@$(GANGLION) scale $(ROLE) $(N) $(IN)

fmt: ## Formats all code
	@$(CARGO) fmt --all

lint: ## Formatting, clippy
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

layers: ## Checks that crates depend downwards only
	@$(CARGO) test --locked -p ganglion-layers

test: ## Builds the roles and runs every test
	@deploy/setup.sh tests
	@$(CARGO) build --locked $(BINARIES)
	@GANGLION_BIN_DIR=$(CURDIR)/target/debug $(CARGO) test --workspace --locked

test-unit: ## Runs the tests that need no cluster
	@$(CARGO) test --workspace --exclude ganglion-tests --locked

complement: ## Records how the cluster does in Complement: RUN="command" (tests/complement/README.md)
	@$(CARGO) build --locked $(BINARIES)
	@tests/complement/run.py target/debug/ganglion "$(RUN)"

model: ## Plays random histories against a model of /sync: HISTORIES=200 SEED=1 SHRINK=1 SETTINGS=limits.tail_entries=20
	@deploy/setup.sh tests
	@$(CARGO) build --locked $(BINARIES)
	@GANGLION_BIN_DIR=$(CURDIR)/target/debug GANGLION_MODEL_HISTORIES=$(or $(HISTORIES),200) \
		$(if $(SEED),GANGLION_MODEL_SEED=$(SEED)) $(if $(SHRINK),GANGLION_MODEL_SHRINK=1) \
		GANGLION_TEST_SETTINGS=$(SETTINGS) \
		$(CARGO) test --locked -p ganglion-tests --test it -- sync_model --nocapture

helm: ## Tests the chart
	@helm/test.sh

proto: ## Makes the gRPC code from proto/ anew
	@UPDATE_PROTO=1 $(CARGO) test --locked -p ganglion-proto
