"""The systemd engine: slaves, their announcers and masters are systemd units of nodes reached over SSH.

In: a `units.job.Job` whose slaves have a node each. Out: what every engine returns. May be touched: the run's
folder here; on a node the folders and units that carry nap's names, as root.
"""
