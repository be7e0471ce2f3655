"""Podman and Docker, for every engine that has images: their command line, containers, options, builds.

In: words and images. Out: what the runtime answers. Touched: containers and images that carry nap's labels.
"""
