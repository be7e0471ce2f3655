"""The home: where its files are, what its settings say, what is wrong with it.

In: `$NAP_HOME`. Out: paths and settings as frozen values. Touched: the folder itself, when it is made.
"""
