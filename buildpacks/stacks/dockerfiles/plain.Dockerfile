# A shell and Python, for what a profile names.
ARG BASE
FROM ${BASE} AS run
# Another value runs again what is in the builder's cache.
ARG MADE
COPY packages.sh /usr/local/sbin/nap-packages
RUN nap-packages bash ca-certificates python3 \
 && useradd --no-log-init --uid 1000 --user-group --create-home --shell /bin/sh --password '*' app
LABEL nap.stack=plain

FROM run AS build
ARG MADE
RUN nap-packages curl file g++ gcc libc6-dev make pkg-config python3-pip python3-venv unzip xz-utils
