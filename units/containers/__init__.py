"""The containers engine: slaves and master are containers of this machine's Podman or Docker.

In: a `units.job.Job` whose image is in the runtime's store. Out: what every engine returns. Touched: the
run's folder, and containers and networks with the run's label.
"""
