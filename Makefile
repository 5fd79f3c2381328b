# Both main targets set up what they need: see scripts/setup.
#
#   make demo          build everything, start the gateway and the example page, print its address
#   make test          run every test
#   make quick         formatting, lints, unit tests and the end-to-end tests that need only the server; after every change
#   make test-server   one group of the end-to-end tests, a folder of tests/tests/, by what it needs: the server alone here; ARGS=push::
#                      runs one file of it. The others: test-server-slow (the server too, but waits for minutes), test-faults, test-fuzz,
#                      test-php (the extension), test-originals (GatewayWorker's sources), test-yii2 (its sources), test-browser,
#                      test-cluster (NATS), test-clients (other websocket clients), test-machine (root), test-documents
#   make sources       get by git the sources of Yii 2, GatewayWorker and others that no package registry has, into target/sources, where
#                      all tests find them from then on
#   make costs         instructions and bytes of the server's hot ways, held against tests/tests/costs/recorded.toml within 2 %;
#                      REWRITE=1 make costs writes that file, which says in a commit what the change costs
#   make deny          licences, sources and known flaws of all dependencies
#   make fuzz          feed every decoder with broken input, a minute each; FUZZ_SECONDS=600 for ten. libFuzzer chooses the inputs
#   make models        schedules of threads, chosen by shuttle, of a shard and of the extension's link; MODEL_SCHEDULES=10000 for more
#   make asan          AddressSanitizer over gateway-wire, and over the server under its hardest tests
#   make miri          gateway-wire's tests under Miri, where a toolchain has it
#   make adversaries   peers that mean harm, by the thousand: 99 of 100 pushes to others take at most twice as long as before
#   make autobahn      the Autobahn websocket test suite with all its messages; takes about six minutes
#   make test-install  install the extension in each of its three ways, into a temporary directory
#   make test-roots    build and test on a new Debian 12 (PHP 8.2) and a new Debian 13 (PHP 8.4); as root
#   make test-php-versions  the extension's tests on every PHP from 8.1 to 8.5 that can be had, thread-safe (ZTS) and not, each built once;
#                      `make test` has 8.2 and 8.4 of these. ARGS=--readme writes the table in both READMEs, ARGS=8.2-zts tries one
#   make test-threads  the extension in the threads of a thread-safe PHP, which is built once; ARGS=8.2-zts-asan names another
#   make valgrind      run the extension's tests under valgrind, on this machine's PHP and on a thread-safe (ZTS) one, which is built once
#   make asan-php      run them on PHPs with assertions, thread-safe (ZTS) and not, all built with AddressSanitizer; builds those PHPs once
#   make bench         load on the server, beside others (scripts/bench-peers gets them); writes docs/performance.md and its Chinese twin
#   make bench-upgrades  servers with up to 100,000 clients are upgraded over and over under load, and nobody notices; ARGS=tls runs one
#                      course, ARGS=--quick all with a tenth of the clients
#   make bench-profile  where the server's processor time goes in scenarios of `make bench`, by perf
#   make bench-parts   encoding, decoding and hot parts of a shard, alone
#   make bench-php     what a call costs PHP, beside GatewayWorker's client where its sources are present
#   make bench-workers  messages through an echoing Events.php, beside GatewayWorker where its sources are present
#   make bench-inbox   messages for users who are not there: how many a second are on disk, beside redis and Yii's queue on it where they are
#                      there
#   make bench-ask     what it costs to ask a page, beside a message that the page sends back
#   make bench-cluster  what a sendToUid costs as nodes grow in number, beside GatewayWorker where its sources are present
#   make docs          the documents as a site, English and Chinese, with search, in target/docs/: open index.html there
#   make release       all files of a release, in target/dist/: built on a new Debian 12, twice, and compared; as root, with Rust of rustup.
#                      ARGS="8.1 8.4-zts" adds binaries for PIE of these PHPs
#   make test-release  install each of these files on a new Debian, and use it; as root
#   make build         build server and extension, optimised, without paths of this machine in them
#   make deb           a Debian package of the server, in target/deb/
#   make sbom          what server and extension are made of, CycloneDX's JSON, in target/sbom/; the packages have it too
#   make pecl          the extension's package for `pecl install`, in target/pecl/
#   make pie-binaries  the extension's binaries for PIE, one for each PHP that can be had, in target/pie/; each is tried
#   make check         formatting, lints and the arrows between modules only
#   make clean         remove what was built

CARGO ?= cargo
FUZZ_SECONDS ?= 60
# The folders of tests/tests/, by what they need beside the compiler: nothing, or PHP with the extension, and what their main.rs says.
SERVER_TESTS := test-server test-server-slow test-faults test-fuzz
PHP_TESTS := test-php test-originals test-yii2 test-browser test-cluster test-clients test-machine test-documents
RELEASE := $(abspath $(or $(CARGO_TARGET_DIR),target))/release
DEBUG := $(abspath $(or $(CARGO_TARGET_DIR),target))/debug

.PHONY: demo test sources $(SERVER_TESTS) $(PHP_TESTS) setup-build quick costs deny fuzz models asan miri adversaries autobahn test-install test-roots test-php-versions test-threads valgrind asan-php bench bench-upgrades bench-profile bench-parts bench-php bench-workers bench-cluster bench-inbox bench-ask build docs sbom deb pecl pie-binaries release test-release check clean

# The same for all that is optimised, as cargo would else build it again whenever they differ.
demo build adversaries autobahn test-install bench bench-upgrades bench-profile bench-parts bench-php bench-workers bench-cluster bench-inbox bench-ask deb: \
	export RUSTFLAGS = $(shell scripts/release-flags)

demo: build
	@scripts/demo

# A step by itself, as the flags of what is built then name the compiler that it may install.
setup-build:
	@scripts/setup build

build: setup-build
	$(CARGO) build --release --locked -p gateway-server -p gateway-php
	@scripts/build-paths $(RELEASE)/gateway-server $(RELEASE)/libgateway.so

# What the last six install is for steps that are skipped without it.
test:
	@scripts/setup test
	@scripts/setup autobahn || true
	@scripts/setup costs || true
	@scripts/setup deny || true
	@scripts/setup docs || true
	@scripts/setup pecl || true
	@scripts/setup roots || true
	@scripts/test

sources:
	@scripts/sources fetch

quick:
	@scripts/quick

$(SERVER_TESTS):
	$(CARGO) build --quiet --locked -p gateway-server
	$(CARGO) test --locked -p gateway-tests --test $(subst -,_,$(@:test-%=%)) $(ARGS)

$(PHP_TESTS):
	$(CARGO) build --quiet --locked -p gateway-server -p gateway-php
	@eval "$$(scripts/sources env)"; set -x; $(CARGO) test --locked -p gateway-tests --test $(subst -,_,$(@:test-%=%)) $(ARGS)

costs:
	@scripts/setup costs || true
	@scripts/costs

deny:
	@scripts/setup deny || true
	@scripts/deny

# What was found once belongs into tests/corpus/. The tests' own fuzzers come first, with a tenth of the time; a failure of these prints
# the FUZZ_SEED that repeats it.
fuzz:
	FUZZ_SECONDS=$(shell expr \( $(FUZZ_SECONDS) + 9 \) / 10) $(CARGO) test --release --locked -p gateway-tests \
		--test fuzz -- --nocapture
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz

models:
	$(CARGO) test --locked -p gateway-server -p gateway-link --features gateway-server/models,gateway-link/models --lib models

asan:
	@scripts/sanitize

miri:
	@scripts/miri

adversaries:
	$(CARGO) build --release --locked -p gateway-server
	ADVERSARY_STRICT=1 GATEWAY_SERVER=$(RELEASE)/gateway-server \
		$(CARGO) test --locked -p gateway-tests --test adversaries -- --nocapture --test-threads 1

autobahn:
	@scripts/setup autobahn
	$(CARGO) build --release --locked -p gateway-server
	AUTOBAHN_WHOLE=1 $(CARGO) test --release --locked -p gateway-tests --test clients autobahn:: -- --nocapture

test-install: build
	@scripts/setup pecl
	@scripts/test-install

test-roots:
	@scripts/setup roots || true
	@scripts/test-roots

test-php-versions:
	@scripts/setup php
	$(CARGO) build --quiet --locked -p gateway-server
	@GATEWAY_SERVER=$(DEBUG)/gateway-server scripts/test-php-versions $(ARGS)

test-threads:
	@scripts/setup php
	$(CARGO) build --quiet --locked -p gateway-server
	@scripts/test-threads $(ARGS)

valgrind:
	@scripts/setup valgrind
	$(CARGO) build --quiet --workspace --locked
	GATEWAY_SERVER=$(DEBUG)/gateway-server GATEWAY_SO=$(DEBUG)/libgateway.so scripts/valgrind-phpt
	@scripts/setup php
	GATEWAY_SERVER=$(DEBUG)/gateway-server scripts/valgrind-phpt --zts

asan-php:
	@scripts/setup php
	$(CARGO) build --quiet --locked -p gateway-server
	GATEWAY_SERVER=$(DEBUG)/gateway-server scripts/asan-phpt

bench:
	$(CARGO) build --release --locked -p gateway-server
	GATEWAY_SERVER=$(RELEASE)/gateway-server $(CARGO) bench --quiet --locked -p gateway-tests --bench load -- $(ARGS)

bench-upgrades:
	$(CARGO) build --release --locked -p gateway-server
	GATEWAY_SERVER=$(RELEASE)/gateway-server $(CARGO) bench --quiet --locked -p gateway-tests --bench load -- upgrades $(ARGS)

bench-profile:
	$(CARGO) build --release --locked -p gateway-server
	GATEWAY_SERVER=$(RELEASE)/gateway-server scripts/bench-profile

bench-parts:
	$(CARGO) bench --quiet --locked -p gateway-wire -p gateway-server --bench calls --bench frames --bench shard

bench-php: build
	GATEWAY_SERVER=$(RELEASE)/gateway-server GATEWAY_SO=$(RELEASE)/libgateway.so \
		$(CARGO) bench --quiet --locked -p gateway-tests --bench php

bench-workers: build
	GATEWAY_SERVER=$(RELEASE)/gateway-server GATEWAY_SO=$(RELEASE)/libgateway.so \
		$(CARGO) bench --quiet --locked -p gateway-tests --bench workers -- $(ARGS)

bench-cluster: build
	GATEWAY_SERVER=$(RELEASE)/gateway-server GATEWAY_SO=$(RELEASE)/libgateway.so \
		$(CARGO) bench --quiet --locked -p gateway-tests --bench cluster -- $(ARGS)

bench-inbox: build
	GATEWAY_SERVER=$(RELEASE)/gateway-server GATEWAY_SO=$(RELEASE)/libgateway.so \
		$(CARGO) bench --quiet --locked -p gateway-tests --bench inbox

bench-ask:
	$(CARGO) build --quiet --release --locked -p gateway-server
	GATEWAY_SERVER=$(RELEASE)/gateway-server $(CARGO) bench --quiet --locked -p gateway-tests --bench ask

docs:
	@scripts/setup docs
	@scripts/docs-site
	@echo "The documents are in target/docs/index.html; their search needs a web server: python3 -m http.server --directory target/docs"

# Both are built at once, as for the demo: alone the server would get its libraries with other features, which are built anew.
deb: build
	@scripts/deb $(RELEASE)/gateway-server target/deb

sbom:
	@mkdir -p target/sbom
	@for package in gateway-server gateway-php; do scripts/sbom $$package target/sbom/$$package.cdx.json || exit; done

pecl:
	@scripts/setup pecl
	@scripts/pecl

pie-binaries:
	@scripts/setup php
	$(CARGO) build --quiet --locked -p gateway-server
	@GATEWAY_SERVER=$(DEBUG)/gateway-server scripts/pie-binaries $(ARGS)

release:
	@scripts/setup release
	@scripts/release/run $(ARGS)

test-release:
	@scripts/setup release
	@scripts/release/test $(ARGS)

check:
	@scripts/setup check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	$(CARGO) test --quiet --locked -p gateway-tests --test documents arrows::

clean:
	$(CARGO) clean
