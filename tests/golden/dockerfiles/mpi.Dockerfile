# mpi.xml: the tree as its build left it. What seldom changes has a layer of its own.
FROM registry.lab:5000/nap_openmpi_run@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
WORKDIR /app
USER 1000:1000
COPY --chown=1000:1000 program/ /
