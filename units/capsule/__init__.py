"""Capsules: what keeps the processes of a run, or of a build, on this machine together and apart from others.

In: a command, and the folders it may read or write. Out: the command line that runs it inside. May be
touched: namespaces, mounts and processes of a capsule's own. Its files run on the standard library alone.
"""
