"""Builds of container images.

In: a tree and a plan. Out: an image in the runtime's store and in the registry, named by its digest.
Touched: the builds' folders, the runtime's containers and images that carry nap's labels, the registry.
"""
