"""Machines that units are placed on: how they are reached, what is brought to them, who has what of them.

In: nodes, and jobs whose slaves are to be placed. Out: connections, archives, allocations. May be touched:
on a node what a script of `shell/` says, as root. No engine is imported.
"""
