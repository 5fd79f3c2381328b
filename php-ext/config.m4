dnl The extension is Rust: cargo compiles it (Makefile.frag), and phpize's machinery only tests and installs the result.

PHP_ARG_ENABLE([gateway],
  [whether to enable the gateway extension],
  [AS_HELP_STRING([--enable-gateway], [Enable the gateway extension])],
  [yes])

PHP_ARG_WITH([cargo],,
  [AS_HELP_STRING([--with-cargo=PATH], [Path to cargo [from PATH or ~/.cargo/bin]])],
  [no],
  [no])

if test "$PHP_GATEWAY" != "no"; then
  if test "$PHP_CARGO" = "no" || test "$PHP_CARGO" = "yes"; then
    AC_PATH_PROG([CARGO], [cargo], [], [$PATH:$HOME/.cargo/bin])
  else
    CARGO=$PHP_CARGO
  fi
  if test -z "$CARGO" || test ! -x "$CARGO"; then
    AC_MSG_ERROR([cargo is missing: install Rust 1.88 or newer from https://rustup.rs, or name it by --with-cargo=PATH.])
  fi

  AC_MSG_CHECKING([for the version of cargo])
  dnl This runs in the source directory, so that a rust-toolchain.toml is followed. The PATH leads to the rustc beside cargo.
  GATEWAY_CARGO_DIR=`dirname "$CARGO"`
  GATEWAY_CARGO_VERSION=`cd "$abs_srcdir" && PATH="$GATEWAY_CARGO_DIR:$PATH" "$CARGO" --version | $SED -n 's/^cargo \([[0-9.]]*\).*/\1/p'`
  if test -z "$GATEWAY_CARGO_VERSION"; then
    AC_MSG_RESULT([none])
    AC_MSG_ERROR([$CARGO does not run: see above. Install Rust 1.88 or newer from https://rustup.rs.])
  fi
  AC_MSG_RESULT([$GATEWAY_CARGO_VERSION])
  AS_VERSION_COMPARE([$GATEWAY_CARGO_VERSION], [1.88],
    [AC_MSG_ERROR([cargo $GATEWAY_CARGO_VERSION is too old: gateway needs Rust 1.88 or newer, from https://rustup.rs or by --with-cargo=PATH.])])

  dnl libclang makes the PHP bindings from PHP's headers. The build looks for it in the same places.
  AC_MSG_CHECKING([for libclang])
  GATEWAY_LIBCLANG=
  if test -n "$LIBCLANG_PATH"; then
    GATEWAY_PLACES=$LIBCLANG_PATH
    if test -f "$LIBCLANG_PATH"; then GATEWAY_LIBCLANG=$LIBCLANG_PATH; fi
  else
    GATEWAY_PLACES="`llvm-config --libdir 2>/dev/null` `echo "$LD_LIBRARY_PATH:$LIBRARY_PATH" | tr : ' '`"
    GATEWAY_PLACES="$GATEWAY_PLACES /usr/local/llvm*/lib* /usr/local/lib* /usr/local/lib*/* /usr/local/lib*/*/*"
    GATEWAY_PLACES="$GATEWAY_PLACES /usr/lib* /usr/lib*/* /usr/lib*/*/*"
  fi
  for place in $GATEWAY_PLACES; do
    dnl The patterns do not match libclang-cpp, which is another library.
    for file in "$place"/libclang.so "$place"/libclang.so.* "$place"/libclang-@<:@0-9@:>@*.so*; do
      if test -z "$GATEWAY_LIBCLANG" && test -f "$file"; then GATEWAY_LIBCLANG=$file; fi
    done
  done
  if test -z "$GATEWAY_LIBCLANG"; then
    AC_MSG_RESULT([no])
    AC_MSG_ERROR([libclang is missing: install libclang-dev (Debian, Ubuntu), clang-devel (Fedora) or clang-dev (Alpine), or set LIBCLANG_PATH to the directory that holds it.])
  fi
  AC_MSG_RESULT([$GATEWAY_LIBCLANG])

  GATEWAY_PHP_CONFIG=`command -v "$PHP_CONFIG"`
  GATEWAY_ENV="PHP_CONFIG='$GATEWAY_PHP_CONFIG'"
  test -z "$PHP_EXECUTABLE" || GATEWAY_ENV="$GATEWAY_ENV PHP='$PHP_EXECUTABLE'"
  test -z "$LIBCLANG_PATH" || GATEWAY_ENV="$GATEWAY_ENV LIBCLANG_PATH='$LIBCLANG_PATH'"
  PHP_SUBST([CARGO])
  PHP_SUBST([GATEWAY_CARGO_DIR])
  PHP_SUBST([GATEWAY_ENV])

  PHP_MODULES="$PHP_MODULES \$(phplibdir)/gateway.la"
  PHP_ADD_BUILD_DIR([$abs_builddir/modules])
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/Makefile.frag], [$abs_srcdir], [$abs_builddir])
fi
