# Both main targets set up what they need: see scripts/setup.
#
#   make demo         build everything, start the gateway and the example page, print its address
#   make test         run every test
#   make bench        load on the server, beside others (scripts/bench-peers gets them); writes docs/performance.md
#   make bench-parts  encoding, decoding and hot parts of a shard, alone
#   make bench-php    what a call costs PHP, beside GatewayWorker's client where its sources are present
#   make build        build server and extension, optimised
#   make check        formatting and lints only
#   make clean        remove what was built

CARGO ?= cargo
RELEASE := $(abspath $(or $(CARGO_TARGET_DIR),target))/release

.PHONY: demo test bench bench-parts bench-php build check clean

demo: build
	@scripts/demo

build:
	@scripts/setup build
	$(CARGO) build --release --locked -p gateway-server -p gateway-php

test:
	@scripts/setup test
	@scripts/test

bench:
	$(CARGO) build --release --locked -p gateway-server
	GATEWAY_SERVER=$(RELEASE)/gateway-server $(CARGO) bench --quiet --locked -p gateway-tests --bench load -- $(ARGS)

bench-parts:
	$(CARGO) bench --quiet --locked -p gateway-wire -p gateway-server --bench calls --bench frames --bench shard

bench-php: build
	GATEWAY_SERVER=$(RELEASE)/gateway-server GATEWAY_SO=$(RELEASE)/libgateway.so \
		$(CARGO) bench --quiet --locked -p gateway-tests --bench php

check:
	@scripts/setup build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

clean:
	$(CARGO) clean
