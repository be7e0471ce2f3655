"""Choose a node for each slave and the next jobs to start, and explain why something does not fit.

In: the resources asked for, and the free ones. Out: placements, or a sentence. Nothing is touched.
"""
