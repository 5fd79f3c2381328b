# PHP-FPM with the extension. Build it from the project's root:
#
#   docker build -f docker/php-fpm.Dockerfile -t php-fpm-gateway .
#
# An application's own image begins with FROM php-fpm-gateway. With --target demo it has the example application.
#
# The example's Yii 2 comes by composer. Where packagist cannot be reached, --build-arg LIBRARIES=IMAGE names an image that has
# it below /app/vendor, with bower-asset/jquery. BuildKit leaves composer's own image out then; the legacy builder wants it all the
# same. Docker before version 23 takes BuildKit where DOCKER_BUILDKIT=1 is set, a later one where its buildx is installed.
#
# What it is built on is named by tags, which move. A build that is to be repeated names it by digests:
# --build-arg PHP=php@sha256:… --build-arg RUST=rust@sha256:…

ARG RUST=rust:1.95-slim-bookworm
ARG PHP=php:8.2-fpm-bookworm
ARG COMPOSER=composer:2
ARG LIBRARIES=composed

# hadolint ignore=DL3006
FROM ${RUST} AS rust

# With the PHP that it is for: one that was built with a newer patch level may not load.
# hadolint ignore=DL3006
FROM ${PHP} AS extension
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential libclang-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
WORKDIR /build
COPY . .
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN RUSTFLAGS=$(scripts/release-flags) cargo build --release --locked -p gateway-php

# hadolint ignore=DL3006
FROM ${PHP} AS runtime
COPY --from=extension /build/target/release/libgateway.so /usr/local/lib/gateway.so
RUN mv /usr/local/lib/gateway.so "$(php-config --extension-dir)/gateway.so" \
    && echo extension=gateway > "$PHP_INI_DIR/conf.d/gateway.ini" \
    && php --ri gateway

# hadolint ignore=DL3006
FROM ${COMPOSER} AS composed
WORKDIR /app
COPY php/example/yii2/composer.json .
RUN composer install --no-dev --no-interaction --ignore-platform-reqs

# hadolint ignore=DL3006
FROM ${LIBRARIES} AS libraries

FROM runtime AS demo
COPY php /srv/php
COPY --from=libraries /app/vendor /srv/php/example/yii2/vendor
ENV DEMO_DATA=/var/lib/demo
RUN install -d -o www-data -g www-data "$DEMO_DATA"

FROM runtime AS php-fpm
