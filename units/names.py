"""The names of units, slaves, containers and networks, and the slaves' addresses."""

from __future__ import annotations

import ipaddress
import zlib

from units.job import Job, Slave

# Loopback addresses that nothing else uses. MPICH's launcher takes 127.0.1.1 for "this host", and would
# start its daemon there itself instead of calling nap's agent.
POOL = ipaddress.ip_network("127.64.0.0/10")


def _prefixed(job: Job, name: str) -> str:
    return f"{job.prefix}_{name}" if job.prefix else name


def slaves_unit(job: Job, index: int) -> str:
    return _prefixed(job, f"slaves_{job.app}@{index}")


def discovery_unit(job: Job, index: int, process: str = "") -> str:
    """Return the name of the unit that announces a slave, or a process of a `profile`."""
    return _prefixed(job, f"discovery_{job.app}{process and '-'}{process}@{index}")


def master_unit(job: Job) -> str:
    return _prefixed(job, f"master_{job.app}")


def process_unit(job: Job, process: str, number: int = 1) -> str:
    """Return the unit's name. A service's contains the release: two generations can be up at a time.

    Where all units of a machine share one folder, `number` is the run's: two runs can be of one release.
    """
    return _prefixed(job, _process(job, process, number))


def process_discovery_unit(job: Job, process: str, number: int) -> str:
    """Return the name of the unit that announces a process, where all units of a machine share one folder."""
    return _prefixed(job, f"discovery_{_process(job, process, number)}")


def _process(job: Job, process: str, number: int) -> str:
    generation = f".v{job.release}" if job.service else ""
    return f"{process}_{job.app}{generation}@{number}"


def slaves(app: str, run: int, ranks: tuple[int, ...], seed: str = "") -> tuple[Slave, ...]:
    """Return a slave for each entry of `ranks` (slots, in slave order), with its name and address.

    The addresses come from a block that differs from run to run, and by `seed` from home to home.
    """
    first = block(f"{seed}/{app}/{run}", len(ranks))
    return tuple(
        Slave(index, slave(app, index), str(first + index), slots)
        for index, slots in enumerate(ranks, start=1)
    )


def slave(app: str, index: int) -> str:
    return f"{app}-slave{index}"


def block(key: str, size: int) -> ipaddress.IPv4Address:
    """Return the address before a block for `size` slaves, by the key's hash: two keys can share a block."""
    span = 256 * (1 + size // 255)
    blocks = POOL.num_addresses // span
    return ipaddress.IPv4Address(POOL[zlib.crc32(key.encode()) % blocks * span])


def slave_container(job: Job, index: int) -> str:
    """Return a name without the run's number: an app's MPI runs never overlap, so it is free at the start."""
    return _prefixed(job, f"{job.app}_slave{index}")


def process_container(job: Job, process: str) -> str:
    """Return a name with the run's number: a service's next generation is up before the last one ends."""
    return _prefixed(job, f"{job.app}_{process}.{job.run}")


def network(job: Job) -> str:
    return _prefixed(job, f"{job.app}_net")
