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


def process_unit(job: Job, process: str) -> str:
    """A service may have two generations at a time, so its name carries the release."""
    generation = f".v{job.release}" if job.service else ""
    return _prefixed(job, f"{process}_{job.app}{generation}@1")


def slaves(app: str, run: int, ranks: tuple[int, ...], seed: str = "") -> tuple[Slave, ...]:
    """The places of `ranks` (slots by slave, in slave order), with names and addresses.

    The addresses come from a block that differs from run to run, and by `seed` from home to home.
    """
    first = block(f"{seed}/{app}/{run}", len(ranks))
    return tuple(
        Slave(index, f"{app}-slave{index}", str(first + index), slots)
        for index, slots in enumerate(ranks, start=1)
    )


def block(key: str, size: int) -> ipaddress.IPv4Address:
    span = 256 * (1 + size // 255)
    blocks = POOL.num_addresses // span
    return ipaddress.IPv4Address(POOL[zlib.crc32(key.encode()) % blocks * span])
