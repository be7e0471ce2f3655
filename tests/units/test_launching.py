"""How mpirun is told: its command line, and what a person is shown of it."""

from __future__ import annotations

import pytest

from units import launching
from units.job import Mpi, Slave

TWO = (Slave(1, "a-slave1", "127.64.0.1", 2), Slave(2, "a-slave2", "127.64.0.2", 2))
VALUES = {"NAP_SHARE": "/share", "N": "12"}


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("$NAP_SHARE/out.bin", "/share/out.bin"),
        ("--to=${NAP_SHARE}x", "--to=/sharex"),
        ("$N", "12"),
        ("$NAP_SHARES", "$NAP_SHARES"),
        ("$HOME", "$HOME"),
        ("${NAP_SHARE", "${NAP_SHARE"),
        ("$(id) `id` * ;", "$(id) `id` * ;"),
        ("$$N", "$12"),
    ],
)
def test_known_names_are_replaced_and_nothing_else(written: str, given: str) -> None:
    assert launching.expand(written, VALUES) == given


def test_a_value_is_not_read_again() -> None:
    assert launching.expand("$N", {"N": "$M x", "M": "1"}) == "$M x"


def test_arguments_and_options_are_expanded_and_a_script_is_left_to_its_shell() -> None:
    mpi = Mpi("mpich", 4, program=("./a", "$NAP_SHARE/x"), options=("-outfile-pattern", "$NAP_SHARE/%r"))
    words = launching.command(mpi, VALUES, "../hostfile")
    assert words[-4:] == ("-outfile-pattern", "/share/%r", "./a", "/share/x")
    script = Mpi("mpich", 4, script=("sh", "-ec", "mpirun ./a $NAP_SHARE"))
    assert launching.command(script, VALUES, "../hostfile") == script.script


def test_a_scripts_arguments_are_expanded_and_shown() -> None:
    mpi = Mpi("mpich", 4, script=("sh", "-ec", './a "$@"\n./b'), args=("a b", "$NAP_SHARE/x"))
    assert launching.command(mpi, VALUES, "../hostfile") == (*mpi.script, "run", "a b", "/share/x")
    assert launching.shown(mpi, "../hostfile") == ["set -- 'a b' \"$NAP_SHARE/x\"", './a "$@"', "./b"]


def test_a_command_is_shown_as_one_may_type_it() -> None:
    mpi = Mpi("openmpi5", 2, program=("./a", "$NAP_SHARE/x", "a b", "$N 'q'"))
    shown = """mpirun --hostfile ../hostfile -np 2 ./a "$NAP_SHARE/x" 'a b' """
    assert launching.shown(mpi, "../hostfile") == [shown + """'$N '"'"'q'"'"''"""]


@pytest.mark.parametrize(("flavour", "memory"), [("openmpi5", "sm"), ("openmpi4", "vader")])
def test_shared_memory_has_the_name_this_open_mpi_knows(flavour: str, memory: str) -> None:
    machine = launching.Machine(cores=2, rdma=False, interfaces=("eth0",))
    env = dict(launching.environment(Mpi(flavour, 4), TWO, machine, launching.Ways("/agent", "/hosts")))
    assert env["OMPI_MCA_btl"] == f"self,{memory},tcp"


def test_mpichs_slaves_on_one_machine_talk_through_its_memory() -> None:
    machine = launching.Machine(cores=2, rdma=False, interfaces=("eth0",))
    env = dict(launching.environment(Mpi("mpich", 4), TWO, machine, launching.Ways("/agent", "/hosts")))
    assert env["UCX_TLS"] == "^tcp"


def test_open_mpi_4s_daemons_stay_with_the_slave_that_starts_them() -> None:
    machine = launching.Machine(cores=2, rdma=False, interfaces=("eth0",))
    env = dict(launching.environment(Mpi("openmpi4", 4), TWO, machine, launching.Ways("/agent", "/hosts")))
    assert env["OMPI_MCA_orte_leave_session_attached"] == "1"
