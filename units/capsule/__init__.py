"""Capsules hold the processes of a run, or of a build, together and isolate them from others.

In: a command, and the folders it may read or write. Out: the command line that runs it inside. Touched:
namespaces, mounts and processes of a capsule's own. What runs inside uses the standard library alone.
"""
