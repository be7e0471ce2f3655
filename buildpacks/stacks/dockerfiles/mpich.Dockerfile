# MPICH from its wheel, without Fortran's bindings, which no wheel has.
ARG BASE
FROM ${BASE} AS run
# Another value runs again what is in the builder's cache.
ARG MADE
COPY packages.sh /usr/local/sbin/nap-packages
COPY mpi/run /opt/mpich
RUN nap-packages openssh-client openssh-server libgfortran5 libgomp1 libquadmath0 libstdc++6 \
 && useradd --no-log-init --uid 1000 --user-group --create-home --shell /bin/sh --password '*' app \
 && install -d -o app -g app /share \
 && ln -s /opt/mpich/bin/* /usr/local/bin \
 && echo /opt/mpich/lib > /etc/ld.so.conf.d/00-mpich.conf && ldconfig
ENV PATH=/opt/mpich/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    MPI4PY_LIBMPI=/opt/mpich/lib/libmpi.so.12
LABEL nap.stack=mpich

FROM run AS build
ARG MADE
RUN nap-packages g++ gcc gfortran libc6-dev make pkg-config python3 python3-pip
COPY mpi/build /opt/mpich
