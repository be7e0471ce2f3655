"""Where trees are compiled and run: the machine's own MPI, one from a wheel, or images.

In: a stack's name, or a plan. Out: a `Stack`. May be touched: the folder that wheels are installed in.
"""
