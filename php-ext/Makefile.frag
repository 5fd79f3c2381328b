# cargo runs only when a source is newer, so that `sudo make install` after `make` needs no cargo of root's own.
GATEWAY_SOURCES = $(shell find $(top_srcdir)/src $(top_srcdir)/link $(top_srcdir)/gateway-wire $(top_srcdir)/../gateway-wire \
	$(top_srcdir)/Cargo.toml $(top_srcdir)/build.rs -name '*.rs' -o -name Cargo.toml 2>/dev/null)

$(phplibdir)/gateway.so: $(GATEWAY_SOURCES)
	+cd $(top_srcdir) && env -u CARGO_BUILD_TARGET $(GATEWAY_ENV) PATH="$(GATEWAY_CARGO_DIR):$$PATH" \
		CARGO_TARGET_DIR="$(top_builddir)/target" "$(CARGO)" build --release --lib --locked -p gateway-php
	cp $(top_builddir)/target/release/libgateway.so $@.new
	mv $@.new $@

# A failing test is ours, not one to report to php.net, which the runner would offer.
export NO_INTERACTION = 1

# PHP's own rules read the names of modules from this file.
$(phplibdir)/gateway.la: $(phplibdir)/gateway.so
	echo "dlname='gateway.so'" > $@

clean: clean-cargo
clean-cargo:
	rm -rf $(top_builddir)/target
.PHONY: clean-cargo
