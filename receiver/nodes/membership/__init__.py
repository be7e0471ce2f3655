"""Adding a machine as a node, checking it again, and removing it.

In: a login, or a node's name. Out: a node in the book, or an error; findings for people. May be touched: the
book, and on the machine the leftovers of nap's runs.
"""
