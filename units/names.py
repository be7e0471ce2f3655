"""What units, slaves and their addresses are called."""

from __future__ import annotations

import ipaddress
import zlib

from units.job import Job, Slave

# Loopback addresses that nothing else uses: 127.0.1.1 counts as "this host" to MPICH's launcher,
# which then starts its daemon there itself instead of asking nap's agent.
POOL = ipaddress.ip_network("127.64.0.0/10")


def _prefixed(job: Job, name: str) -> str:
    return f"{job.prefix}_{name}" if job.prefix else name


def slaves_unit(job: Job, index: int) -> str:
    return _prefixed(job, f"slaves_{job.app}@{index}")


def discovery_unit(job: Job, index: int, process: str = "") -> str:
    """The name of what announces a slave, or a process of a `profile`."""
    return _prefixed(job, f"discovery_{job.app}{process and '-'}{process}@{index}")


def master_unit(job: Job) -> str:
    return _prefixed(job, f"master_{job.app}")


def process_unit(job: Job, process: str, number: int = 1) -> str:
    """A service may have two generations at a time, so its name carries the release.

    Where all units of a machine share one folder `number` is the run's, which may be another of that release.
    """
    return _prefixed(job, _process(job, process, number))


def process_discovery_unit(job: Job, process: str, number: int) -> str:
    """The name of what announces a process where all units of a machine share one folder."""
    return _prefixed(job, f"discovery_{_process(job, process, number)}")


def _process(job: Job, process: str, number: int) -> str:
    generation = f".v{job.release}" if job.service else ""
    return f"{process}_{job.app}{generation}@{number}"


def slaves(app: str, run: int, ranks: tuple[int, ...], seed: str = "") -> tuple[Slave, ...]:
    """The places of `ranks` (slots by slave, in slave order), with names and addresses.

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
    span = 256 * (1 + size // 255)
    blocks = POOL.num_addresses // span
    return ipaddress.IPv4Address(POOL[zlib.crc32(key.encode()) % blocks * span])


def slave_container(job: Job, index: int) -> str:
    """Free when a run starts: the MPI runs of one app follow each other."""
    return _prefixed(job, f"{job.app}_slave{index}")


def process_container(job: Job, process: str) -> str:
    """A service's next generation is up before the one before it goes."""
    return _prefixed(job, f"{job.app}_{process}.{job.run}")


def network(job: Job) -> str:
    return _prefixed(job, f"{job.app}_net")
