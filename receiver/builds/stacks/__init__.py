"""A stack's name comes in; the two images of it go out, built once, pushed, and on record.

Touched: `$NAP_HOME/stack-records`, and the runtime's and the registry's images of stacks.
"""
