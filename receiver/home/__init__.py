"""The home: its paths, its settings, and the checks of its folder.

In: `$NAP_HOME`. Out: paths and settings as frozen values. Touched: the folder itself, when it is created.
"""
