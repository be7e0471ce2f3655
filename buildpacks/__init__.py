"""Detect how a tree is built and run, plan it, release it; and provide the stacks that plans name.

In: a tree. Out: a plan. Touched: the caller's stack folder, and the tree only while its plan is carried out.
"""
