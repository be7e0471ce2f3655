"""How mpirun gets to know the slaves: the hostfile, its command line and its environment.

Several "nodes" on one machine mislead an MPI: it looks for fabrics that are not there, pins every
slave's first rank to the same core, and spins while it waits. The settings here prevent that, and are
made only on machines that need them; docs/performance.md has the figures.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from units.job import Job, Mpi, Pairs, Slave

_REFERENCE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
# Open MPI does not use interfaces with this prefix: it takes them for those of virtual machines.
_PASSED_OVER = "vir"
_FOLDERS = {"PATH", "LD_LIBRARY_PATH"}
# netdevice(7)
_SIOCGIFFLAGS = 0x8913
_SIOCGIFADDR = 0x8915
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_RUNNING = 0x40


@dataclass(frozen=True)
class Machine:
    """What a launcher needs to know about the machine that holds all slaves of a run."""

    cores: int
    rdma: bool
    interfaces: tuple[str, ...]
    outward: str = "lo"
    """The interface of the default route."""

    @classmethod
    def here(cls) -> Machine:
        return cls(
            cores=len(os.sched_getaffinity(0)),
            rdma=any(Path("/sys/class/infiniband").glob("*")),
            interfaces=_interfaces_up(),
            outward=_outward(),
        )

    @property
    def only_loopback(self) -> bool:
        """Whether there is only loopback: Open MPI's mpirun cannot reach its daemons, and ends with 213."""
        return not self.interfaces


def _outward() -> str:
    routes = (line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:])
    return next((name for name, destination, *_ in routes if int(destination, 16) == 0), "lo")


def _interfaces_up() -> tuple[str, ...]:
    """Return the interfaces that Open MPI's daemons can use: not loopback, running, with an IPv4 address.

    This asks the kernel by ioctl. /sys/class/net shows the network namespace of the process that mounted
    it, and reports the state of some virtual drivers as "unknown".
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        names = sorted(name for _, name in socket.if_nameindex() if not name.startswith(_PASSED_OVER))
        return tuple(name for name in names if _carries(asked, name))


def _carries(asked: socket.socket, name: str) -> bool:
    request = struct.pack("256s", name.encode())
    try:
        answer = fcntl.ioctl(asked, _SIOCGIFFLAGS, request)
        fcntl.ioctl(asked, _SIOCGIFADDR, request)
    except OSError:
        return False  # it was removed meanwhile, or has no address
    (flags,) = struct.unpack_from("H", answer, 16)
    return bool(flags & _IFF_UP and flags & _IFF_RUNNING and not flags & _IFF_LOOPBACK)


def hostfile(mpi: Mpi, slaves: Iterable[Slave]) -> str:
    """Return one line a slave, by name: Open MPI refuses an address twice, and the agent resolves names."""
    form = "{0.name}:{0.slots}\n" if mpi.is_mpich else "{0.name} slots={0.slots}\n"
    return "".join(form.format(slave) for slave in slaves)


def command(mpi: Mpi, values: Mapping[str, str], hosts: str) -> tuple[str, ...]:
    """Return the master's argv, to be run in the app's folder: a script, or mpirun over the hostfile `hosts`.

    Each `$NAME` in mpirun's words, or in the script's arguments, is replaced by its value in `values`.
    """
    return script(mpi, values) or tuple(expand(word, values) for word in _mpirun(mpi, hosts))


def script(mpi: Mpi, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the script's argv; empty when there is no script.

    The script is an argument of `sh -c`: its `$0` ("run") comes before its arguments, if it has any.
    """
    if not mpi.args:
        return mpi.script
    return (*mpi.script, "run", *(expand(word, values) for word in mpi.args))


def _mpirun(mpi: Mpi, hosts: str) -> tuple[str, ...]:
    """Return mpirun's argv, with the `$NAME`s unexpanded."""
    option = "-f" if mpi.is_mpich else "--hostfile"
    return ("mpirun", option, hosts, "-np", str(mpi.np), *mpi.options, *mpi.program)


def shown(mpi: Mpi, hosts: str) -> list[str]:
    """Return the lines of the command as a user would type it."""
    if not mpi.script:
        return [" ".join(map(_typed, _mpirun(mpi, hosts)))]
    given = [" ".join(map(_typed, ("set", "--", *mpi.args)))] if mpi.args else []
    return [*given, *mpi.script[-1].splitlines()]


def _typed(word: str) -> str:
    """Quote a word for a shell, with its `$NAME`s readable: a shell expands them in double quotes as well."""
    plain = _REFERENCE.sub("", word)
    return shlex.quote(word) if plain == word or shlex.quote(plain) != plain else f'"{word}"'


def expand(word: str, values: Mapping[str, str]) -> str:
    """Return `word` with each `$NAME` and `${NAME}` that is in `values` replaced. No shell is involved."""
    return _REFERENCE.sub(lambda found: values.get(found[1] or found[2], found[0]), word)


def known_words(mpi: Mpi, env: Pairs) -> dict[str, str]:
    """Return what a `$NAME` in mpirun's words can stand for: nap's folders, and the manifest's variables."""
    known = {"NAP_APP", "NAP_SHARE", *dict(mpi.env)}
    return {name: value for name, value in env if name in known}


def program_environment(job: Job, app: str, share: str, image_env: Pairs = ()) -> Pairs:
    """Return the environment of a program whose folders are `app` and `share`.

    Later entries win. The image's and the job's variables come first, then the manifest's, then `NAP_APP`
    and `NAP_SHARE`.
    """
    given = tuple((name, value.replace("{app}", app)) for name, value in job.env)
    places = {"NAP_APP": app, "NAP_SHARE": share}
    return (*variables((*image_env, *given), job.mpi.env if job.mpi else (), places), *places.items())


def variables(given: Pairs, written: Pairs, places: Mapping[str, str]) -> Pairs:
    """Return `given`, then the manifest's variables (`written`), in which the names of `places` are expanded.

    Lists of folders that are in both are joined, the manifest's first: with the manifest's PATH alone the
    program would find no mpirun and no shell.
    """
    before = dict(given)
    own = {name: expand(value, places) for name, value in written}
    for name in _FOLDERS & own.keys() & before.keys():
        own[name] = f"{own[name]}:{before[name]}"
    return (*given, *own.items())


@dataclass(frozen=True)
class Ways:
    """How mpirun reaches the slaves: the command `agent` in place of ssh, and the hostfile `hosts`.

    `over` is the interface, or the network, between slaves that share no memory; "" if they share it.
    """

    agent: str
    hosts: str
    over: str = ""


def environment(mpi: Mpi, slaves: tuple[Slave, ...], machine: Machine, ways: Ways) -> Pairs:
    """Return the variables with which a plain `mpirun` runs over this run's slaves."""
    agent, hosts, over = ways.agent, ways.hosts, ways.over
    crowded = sum(slave.slots for slave in slaves) > machine.cores
    if mpi.is_mpich:
        return _mpich(agent, hosts, crowded, over)
    daemons, memory = (_openmpi5, "sm") if mpi.flavour == "openmpi5" else (_openmpi4, "vader")
    return (*daemons(len(slaves), agent, hosts), *_openmpi_transports(machine, memory, crowded, over))


def _openmpi_transports(machine: Machine, memory: str, crowded: bool, over: str) -> Pairs:
    """Return Open MPI's transport settings. `memory` is this version's name for shared memory."""
    root = (("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"))
    plain = (("OMPI_MCA_pml", "ob1"), ("OMPI_MCA_btl", f"self,{memory},tcp"))
    # Container bridges are up on many machines, and an Allreduce hangs over one that the slaves are not on.
    tcp = (("OMPI_MCA_btl_tcp_if_include", over or "lo"),)
    # Collectives in two steps, within and between nodes, gain nothing when all nodes are this machine.
    flat = (("OMPI_MCA_coll", "^han"),)
    idle = (("OMPI_MCA_mpi_yield_when_idle", "1"),)
    return root + (() if machine.rdma else plain) + tcp + flat + (idle if crowded else ())


def _openmpi5(slaves: int, agent: str, hosts: str) -> Pairs:
    return (
        ("PRTE_MCA_plm_ssh_agent", agent),
        ("PRTE_MCA_prte_default_hostfile", hosts),
        ("PRTE_MCA_hwloc_default_binding_policy", "none"),
        # Above 64 daemons the launch would become a tree, and slaves would have to call the agent.
        ("PRTE_MCA_plm_ssh_no_tree_spawn", "1"),
        ("PRTE_MCA_plm_ssh_num_concurrent", str(max(128, slaves))),
        # When a thread launches it, a rank that ends at once can be reported as running after it was reported
        # as ended: mpirun then waits for it forever (PRRTE up to 3.0.14).
        ("PRTE_MCA_odls_base_max_threads", "0"),
    )


def _openmpi4(slaves: int, agent: str, hosts: str) -> Pairs:
    return (
        ("OMPI_MCA_plm_rsh_agent", agent),
        ("OMPI_MCA_orte_default_hostfile", hosts),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
        # Otherwise its daemons would detach themselves from the slaves that started them.
        ("OMPI_MCA_orte_leave_session_attached", "1"),
        ("OMPI_MCA_plm_rsh_no_tree_spawn", "1"),
        ("OMPI_MCA_plm_rsh_num_concurrent", str(max(128, slaves))),
    )


def _mpich(agent: str, hosts: str, crowded: bool, over: str) -> Pairs:
    # MPICH's ranks spin while they wait. Without this they keep the cores from the ranks they wait for.
    idle = (
        ("MPIR_CVAR_CH4_PROGRESS_THROTTLE", "1"),
        ("MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT", "1"),
    )
    return (
        ("HYDRA_HOST_FILE", hosts),
        ("HYDRA_LAUNCHER", "ssh"),
        ("HYDRA_LAUNCHER_EXEC", agent),
        # Launch the proxy on mpiexec's own host through the agent too. One that mpiexec forks itself exits
        # nonzero after a failed rank, and mpiexec then returns 255 instead of that rank's exit code.
        ("HYDRA_LAUNCHER_AUTOFORK", "0"),
        ("NAP_AGENT_STATUS", "ignore"),
        *_over(over),
        *(idle if crowded else ()),
    )


def _over(interface: str) -> Pairs:
    """Return over which network the ranks reach each other, and the daemons mpiexec.

    Without an interface all memory is shared, and UCX's tcp is off: over it, a rank can wait in MPI_Finalize
    for one that has left. With one, daemons get an address: a new network can take a while to resolve names.
    """
    if not interface:
        return (("UCX_TLS", "^tcp"),)
    return (("UCX_NET_DEVICES", interface), ("HYDRA_IFACE", interface))
