# What `packages` of a mpi.xml adds to one stage of a stack.
ARG BASE
FROM ${BASE}
ARG MADE
ARG PACKAGES
RUN nap-packages ${PACKAGES}
