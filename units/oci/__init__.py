"""Podman and Docker, for every engine that has images: their command line, containers, options, builds.

In: argv words and images. Out: the runtime's output. Touched: containers and images with nap's labels.
"""
