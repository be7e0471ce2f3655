"""The fleet engine: units of nodes that fleet places, starts and takes away; nap brings a run's files there.

In: a `units.job.Job`. Out: what every engine gives. May be touched: of fleet its HTTP API alone; of a node
what the systemd engine touches.
"""
