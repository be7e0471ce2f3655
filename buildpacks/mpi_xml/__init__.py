"""mpi.xml, and the values that users write in files: read once, checked, and typed from then on.

In: text of a tree. Out: a manifest, or one error that says what to change. Touched: nothing.
"""
