"""Nodes that units are placed on: connections to them, files sent to them, and the allocation of their slots.

In: nodes, and jobs whose slaves need places. Out: connections, archives, allocations. May be touched:
on a node what a script in `shell/` changes, as root. No engine is imported.
"""
