"""What builds a tree, and what runs it: a file for each kind of tree, and folder packs of others.

In: a tree. Out: its half of a plan. Touched: nothing but what a folder pack's `bin/release` may write.
"""
