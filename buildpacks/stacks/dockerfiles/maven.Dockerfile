# Java, and Maven with Debian's own repository: `-o -s /etc/maven/settings-debian.xml` builds without a network.
ARG BASE
FROM ${BASE} AS run
# Another value runs again what is in the builder's cache.
ARG MADE
COPY packages.sh /usr/local/sbin/nap-packages
RUN mkdir -p /usr/share/man/man1 \
 && nap-packages ca-certificates default-jre-headless \
 && useradd --no-log-init --uid 1000 --user-group --create-home --shell /bin/sh --password '*' app
LABEL nap.stack=maven

FROM run AS build
ARG MADE
RUN nap-packages default-jdk-headless maven maven-debian-helper
