"""Builders and runners: a file for each kind of tree, and folder packs from other authors.

In: a tree. Out: its half of a plan. Touched: only what a folder pack's `bin/release` writes.
"""
