"""mpi.xml, and the values that users write in files: read and checked once, typed from then on.

In: a tree's text. Out: a manifest, or one error that says what to change. Touched: nothing.
"""
