"""Machines that take part: the book of them, how one is added, looked at and taken out, how they reach nap.

In: what an admin types, and what a machine says. Out: nodes, and findings about them.
Touched: `$NAP_HOME/nodes`, and machines by ssh.
"""
