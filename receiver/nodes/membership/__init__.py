"""How a machine becomes a node, is looked at again, and stops being one.

In: a login, or a node's name. Out: a node in the book, or an error; findings for people. May be touched: the
book, and on the machine what nap's runs have left.
"""
