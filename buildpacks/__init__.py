"""A tree comes in, a plan comes out: detect, plan, release; and the stacks it names.

Nothing in a tree is touched before its plan is carried out; stacks are kept in a folder the
caller names.
"""
