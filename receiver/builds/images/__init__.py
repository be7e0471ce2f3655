"""A tree and a plan come in; an image goes out, in the runtime's store and in the registry, named by digest.

Touched: the builds' folders, the runtime's containers and images that carry nap's labels, the registry.
"""
