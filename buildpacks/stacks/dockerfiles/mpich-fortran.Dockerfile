# Debian's MPICH: larger and older than the wheel's, and with Fortran's bindings.
ARG BASE
FROM ${BASE} AS run
# Another value runs again what is in the builder's cache.
ARG MADE
COPY packages.sh /usr/local/sbin/nap-packages
RUN nap-packages mpich openssh-client openssh-server libgfortran5 libgomp1 libquadmath0 libstdc++6 \
 && useradd --no-log-init --uid 1000 --user-group --create-home --shell /bin/sh --password '*' app \
 && install -d -o app -g app /share
ENV MPI4PY_LIBMPI=libmpich.so.12
LABEL nap.stack=mpich-fortran

FROM run AS build
ARG MADE
RUN nap-packages libmpich-dev g++ gcc gfortran libc6-dev make pkg-config python3 python3-pip
