# Both main targets set up what they need: see scripts/setup.
#
#   make demo    build everything, start the gateway and the example page, print its address
#   make test    run every test
#   make build   build server and extension, optimised
#   make check   formatting and lints only
#   make clean   remove what was built

CARGO ?= cargo

.PHONY: demo test build check clean

demo: build
	@scripts/demo

build:
	@scripts/setup build
	$(CARGO) build --release --locked -p gateway-server -p gateway-php

test:
	@scripts/setup test
	@scripts/test

check:
	@scripts/setup build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

clean:
	$(CARGO) clean
