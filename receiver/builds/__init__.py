"""Builds: images made from trees and plans.

In: a tree and a plan. Out: an image, named by its digest. Touched: the builds' folders, the runtime's
containers and images that carry nap's labels, the registry.
"""
