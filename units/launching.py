"""How mpirun is told about the slaves: the hostfile, its command line and its environment.

Several "nodes" on one machine mislead an MPI: it looks for fabrics that are not there, pins every
slave's first rank to the same core, and spins while it waits. What is set here, and only where the
machine calls for it, is the cure; docs/performance.md has the figures.
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
# Open MPI takes them for virtual machines', and does not use them.
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
    """What a launcher has to know of the machine that holds every slave of a run."""

    cores: int
    rdma: bool
    interfaces: tuple[str, ...]
    outward: str = "lo"
    """The interface its default route leads to."""

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
        """Open MPI's mpirun finds no way to its own daemons then, and ends with 213."""
        return not self.interfaces


def _outward() -> str:
    routes = (line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:])
    return next((name for name, destination, *_ in routes if int(destination, 16) == 0), "lo")


def _interfaces_up() -> tuple[str, ...]:
    """Interfaces that Open MPI's daemons may talk over: other than loopback's, running, with an IPv4 address.

    The kernel is asked, and not /sys/class/net, which shows the network of whoever mounted it, and
    has the state of some virtual drivers as "unknown".
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
        return False  # it is gone, or has no address
    (flags,) = struct.unpack_from("H", answer, 16)
    return bool(flags & _IFF_UP and flags & _IFF_RUNNING and not flags & _IFF_LOOPBACK)


def hostfile(mpi: Mpi, slaves: Iterable[Slave]) -> str:
    """One line a slave, by name: Open MPI refuses one address on two lines, and the agent resolves."""
    form = "{0.name}:{0.slots}\n" if mpi.is_mpich else "{0.name} slots={0.slots}\n"
    return "".join(form.format(slave) for slave in slaves)


def command(mpi: Mpi, values: Mapping[str, str], hosts: str) -> tuple[str, ...]:
    """The master's argv, run in the app's folder: a script, or mpirun over the hostfile `hosts`.

    `$NAME`s of mpirun's words are replaced by their `values`.
    """
    return script(mpi, values) or tuple(expand(word, values) for word in _mpirun(mpi, hosts))


def script(mpi: Mpi, values: Mapping[str, str]) -> tuple[str, ...]:
    """The script's argv, with what it is called by and its arguments; nothing when there is none."""
    if not mpi.args:
        return mpi.script
    return (*mpi.script, "run", *(expand(word, values) for word in mpi.args))


def _mpirun(mpi: Mpi, hosts: str) -> tuple[str, ...]:
    """As it was written."""
    option = "-f" if mpi.is_mpich else "--hostfile"
    return ("mpirun", option, hosts, "-np", str(mpi.np), *mpi.options, *mpi.program)


def shown(mpi: Mpi, hosts: str) -> list[str]:
    """The command as a person would have typed it, a line each."""
    if not mpi.script:
        return [" ".join(map(_typed, _mpirun(mpi, hosts)))]
    given = [" ".join(map(_typed, ("set", "--", *mpi.args)))] if mpi.args else []
    return [*given, *mpi.script[-1].splitlines()]


def _typed(word: str) -> str:
    """With `$NAME`s left for the eye: in double quotes a shell would read them as nap does."""
    plain = _REFERENCE.sub("", word)
    return shlex.quote(word) if plain == word or shlex.quote(plain) != plain else f'"{word}"'


def expand(word: str, values: Mapping[str, str]) -> str:
    """`word` with `$NAME` and `${NAME}` replaced where `values` has the name; no shell reads it."""
    return _REFERENCE.sub(lambda found: values.get(found[1] or found[2], found[0]), word)


def known_words(mpi: Mpi, env: Pairs) -> dict[str, str]:
    """Return what a `$NAME` in mpirun's words may stand for: nap's folders, and the manifest's variables."""
    known = {"NAP_APP", "NAP_SHARE", *dict(mpi.env)}
    return {name: value for name, value in env if name in known}


def program_environment(job: Job, app: str, share: str, image_env: Pairs = ()) -> Pairs:
    """Return what a program finds whose folders are `app` and `share`.

    Its image's and its own settings come first, the manifest's next, nap's words last.
    """
    given = tuple((name, value.replace("{app}", app)) for name, value in job.env)
    places = {"NAP_APP": app, "NAP_SHARE": share}
    return (*variables((*image_env, *given), job.mpi.env if job.mpi else (), places), *places.items())


def variables(given: Pairs, written: Pairs, places: Mapping[str, str]) -> Pairs:
    """What a program finds: the manifest's variables, in which `places` are meant, go over what is `given`.

    Where both are lists of folders the manifest's are before the others: without these its own PATH would
    lead to no mpirun, and to no shell.
    """
    before = dict(given)
    own = {name: expand(value, places) for name, value in written}
    for name in _FOLDERS & own.keys() & before.keys():
        own[name] = f"{own[name]}:{before[name]}"
    return (*given, *own.items())


@dataclass(frozen=True)
class Ways:
    """How mpirun gets to slaves: the command `agent` in place of ssh, and the hostfile `hosts`.

    `over` is the interface, or the network, at which slaves reach each other that share no memory.
    """

    agent: str
    hosts: str
    over: str = ""


def environment(mpi: Mpi, slaves: tuple[Slave, ...], machine: Machine, ways: Ways) -> Pairs:
    """Return what makes a plain `mpirun` mean "over this run's slaves"."""
    agent, hosts, over = ways.agent, ways.hosts, ways.over
    crowded = sum(slave.slots for slave in slaves) > machine.cores
    if mpi.is_mpich:
        return _mpich(agent, hosts, crowded, over)
    daemons, memory = (_openmpi5, "sm") if mpi.flavour == "openmpi5" else (_openmpi4, "vader")
    return (*daemons(len(slaves), agent, hosts), *_openmpi_transports(machine, memory, crowded, over))


def _openmpi_transports(machine: Machine, memory: str, crowded: bool, over: str) -> Pairs:
    """`memory` is what this Open MPI calls the ranks' shared memory within a slave."""
    root = (("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"))
    plain = (("OMPI_MCA_pml", "ob1"), ("OMPI_MCA_btl", f"self,{memory},tcp"))
    # Container bridges are up on many machines, and an Allreduce over one that slaves are not on hangs.
    tcp = (("OMPI_MCA_btl_tcp_if_include", over or "lo"),)
    # Collectives in two steps, within and between nodes, are no gain where all nodes are this machine.
    flat = (("OMPI_MCA_coll", "^han"),)
    idle = (("OMPI_MCA_mpi_yield_when_idle", "1"),)
    return root + (() if machine.rdma else plain) + tcp + flat + (idle if crowded else ())


def _openmpi5(slaves: int, agent: str, hosts: str) -> Pairs:
    return (
        ("PRTE_MCA_plm_ssh_agent", agent),
        ("PRTE_MCA_prte_default_hostfile", hosts),
        ("PRTE_MCA_hwloc_default_binding_policy", "none"),
        # Above 64 daemons the launch becomes a tree, and slaves would have to call the agent.
        ("PRTE_MCA_plm_ssh_no_tree_spawn", "1"),
        ("PRTE_MCA_plm_ssh_num_concurrent", str(max(128, slaves))),
        # Launched by a thread, a rank that ends at once may be told as running after it was told as ended:
        # mpirun then waits for it for ever (PRRTE up to 3.0.14).
        ("PRTE_MCA_odls_base_max_threads", "0"),
    )


def _openmpi4(slaves: int, agent: str, hosts: str) -> Pairs:
    return (
        ("OMPI_MCA_plm_rsh_agent", agent),
        ("OMPI_MCA_orte_default_hostfile", hosts),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
        # Else its daemons would leave the slaves that started them.
        ("OMPI_MCA_orte_leave_session_attached", "1"),
        ("OMPI_MCA_plm_rsh_no_tree_spawn", "1"),
        ("OMPI_MCA_plm_rsh_num_concurrent", str(max(128, slaves))),
    )


def _mpich(agent: str, hosts: str, crowded: bool, over: str) -> Pairs:
    # Its ranks spin while they wait, and without this they keep the cores from those they wait for.
    idle = (
        ("MPIR_CVAR_CH4_PROGRESS_THROTTLE", "1"),
        ("MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT", "1"),
    )
    return (
        ("HYDRA_HOST_FILE", hosts),
        ("HYDRA_LAUNCHER", "ssh"),
        ("HYDRA_LAUNCHER_EXEC", agent),
        # Its proxy beside it too: one that it starts by itself ends with more than 0 after a failed rank, and
        # mpiexec then answers 255 instead of that rank's exit code.
        ("HYDRA_LAUNCHER_AUTOFORK", "0"),
        ("NAP_AGENT_STATUS", "ignore"),
        *_over(over),
        *(idle if crowded else ()),
    )


def _over(interface: str) -> Pairs:
    """Where the ranks reach each other, and the daemons mpiexec.

    Where memory is shared no tcp: over UCX's, a rank can wait in MPI_Finalize for one that has left.
    Elsewhere daemons are told an address, since names can take a while to be known on a new network.
    """
    if not interface:
        return (("UCX_TLS", "^tcp"),)
    return (("UCX_NET_DEVICES", interface), ("HYDRA_IFACE", interface))
