"""A tree and a plan come in; an image goes out, named by its digest.

Touched: the builds' folders, the runtime's containers and images that carry nap's labels, the registry.
"""
