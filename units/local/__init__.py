"""The local engine: every slave is a set of namespaces on this machine.

A run is a *capsule*: one user, mount and PID namespace whose first process is `runner.py`. When the
runner ends, the kernel ends everything in it. `engine.py` is the daemon's side; `runner.py` and its imports
run inside, on the standard library alone, and are started without `site`.

In: a job whose image is a tree. Out: what every engine returns. Touched: the run's folder.
"""
