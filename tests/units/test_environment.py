"""Each MPI's environment and hostfile, compared whole."""

from __future__ import annotations

import pytest

from units import launching
from units.job import Mpi, Slave
from units.launching import Machine

TWO = (Slave(1, "a-slave1", "127.64.0.1", 2), Slave(2, "a-slave2", "127.64.0.2", 1))
ROOMY = Machine(cores=8, rdma=False, interfaces=("eth0",))
CROWDED = Machine(cores=2, rdma=False, interfaces=("eth0",))
ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
DAEMONS = {
    "openmpi5": {
        "PRTE_MCA_plm_ssh_agent": "/nap/agent.sh",
        "PRTE_MCA_prte_default_hostfile": "/run/hostfile",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PRTE_MCA_plm_ssh_no_tree_spawn": "1",
        "PRTE_MCA_plm_ssh_num_concurrent": "128",
        "PRTE_MCA_odls_base_max_threads": "0",
    },
    "openmpi4": {
        "OMPI_MCA_orte_leave_session_attached": "1",
        "OMPI_MCA_plm_rsh_agent": "/nap/agent.sh",
        "OMPI_MCA_orte_default_hostfile": "/run/hostfile",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_plm_rsh_no_tree_spawn": "1",
        "OMPI_MCA_plm_rsh_num_concurrent": "128",
    },
}
MEMORY = {"openmpi5": "sm", "openmpi4": "vader"}
HYDRA = {
    "HYDRA_HOST_FILE": "/run/hostfile",
    "HYDRA_LAUNCHER": "ssh",
    "HYDRA_LAUNCHER_EXEC": "/nap/agent.sh",
    "HYDRA_LAUNCHER_AUTOFORK": "0",
    "NAP_AGENT_STATUS": "ignore",
    "UCX_TLS": "^tcp",
}


def environment(flavour: str, machine: Machine, slaves: tuple[Slave, ...] = TWO) -> dict[str, str]:
    return dict(
        launching.environment(
            Mpi(flavour, 3), slaves, machine, launching.Ways("/nap/agent.sh", "/run/hostfile")
        )
    )


def transports(flavour: str) -> dict[str, str]:
    return {
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": f"self,{MEMORY[flavour]},tcp",
        "OMPI_MCA_btl_tcp_if_include": "lo",
        "OMPI_MCA_coll": "^han",
    }


@pytest.mark.parametrize("flavour", DAEMONS)
def test_open_mpi_is_given_its_launcher_and_plain_transports(flavour: str) -> None:
    assert environment(flavour, ROOMY) == {**DAEMONS[flavour], **ROOT, **transports(flavour)}


@pytest.mark.parametrize("flavour", DAEMONS)
def test_ranks_yield_when_there_are_more_of_them_than_cores(flavour: str) -> None:
    assert environment(flavour, CROWDED) == {
        **environment(flavour, ROOMY),
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }


@pytest.mark.parametrize("flavour", DAEMONS)
def test_with_a_fabric_the_choice_of_transports_is_mpis(flavour: str) -> None:
    given = environment(flavour, Machine(cores=8, rdma=True, interfaces=("eth0",)))
    assert not {"OMPI_MCA_pml", "OMPI_MCA_btl"} & given.keys()
    assert given["OMPI_MCA_btl_tcp_if_include"] == "lo"


def test_all_daemons_are_launched_at_once_by_the_master_itself() -> None:
    many = tuple(Slave(index, f"a-slave{index}", f"127.64.0.{index}", 1) for index in range(1, 201))
    assert environment("openmpi5", ROOMY, many)["PRTE_MCA_plm_ssh_num_concurrent"] == "200"


def test_mpich_is_given_its_launcher() -> None:
    assert environment("mpich", ROOMY) == HYDRA


def test_mpichs_ranks_sleep_while_they_wait_when_there_are_more_of_them_than_cores() -> None:
    assert environment("mpich", CROWDED) == {
        **HYDRA,
        "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",
        "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "1",
    }


def test_the_hostfile_has_names_since_open_mpi_refuses_one_address_on_two_lines() -> None:
    assert launching.hostfile(Mpi("openmpi5", 3), TWO) == "a-slave1 slots=2\na-slave2 slots=1\n"
    assert launching.hostfile(Mpi("openmpi4", 3), TWO) == "a-slave1 slots=2\na-slave2 slots=1\n"
    assert launching.hostfile(Mpi("mpich", 3), TWO) == "a-slave1:2\na-slave2:1\n"


@pytest.mark.parametrize(("flavour", "option"), [("openmpi5", "--hostfile"), ("mpich", "-f")])
def test_mpirun_is_told_hosts_ranks_options_and_program(flavour: str, option: str) -> None:
    mpi = Mpi(flavour, 3, program=("./a", "1"), options=("--tag-output",))
    assert launching.command(mpi, {}, "../hostfile") == (
        "mpirun", option, "../hostfile", "-np", "3", "--tag-output", "./a", "1"
    )  # fmt: skip


def test_only_loopback_is_having_no_other_interface() -> None:
    assert Machine(2, False, ()).only_loopback
    assert not ROOMY.only_loopback
