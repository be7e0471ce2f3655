"""Nodes: the book of nodes, adding, checking and removing one, and how nodes reach the receiver.

In: an admin's command line, and the answers of machines. Out: nodes, and findings about them.
Touched: `$NAP_HOME/nodes`, and machines by ssh.
"""
