"""The book of nodes, and what is made of a machine's words about itself."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.nodes.book import LOGIN, node
from support.receiver import serving

from receiver.cli.group import nap
from receiver.errors import ReceiverError
from receiver.findings import Finding
from receiver.nodes import facts as node_facts
from receiver.nodes import states
from receiver.nodes.book import NodeBook, node_name
from receiver.nodes.facts import Facts, Part
from receiver.nodes.login import Target, fingerprint
from receiver.nodes.membership import addition, node_checks
from receiver.nodes.membership.node_checks import Situation, WantedNode
from receiver.nodes.share import Share, judge
from units.errors import UnitError
from units.nodes.link import Links
from units.placement.capacity import Need, Use

AS_IT_IS = WantedNode()
QUESTIONS = (
    "cores", "memory", "clock", "runtime", "disk", "address", "route", "connection", "reached", "broken",
    "systemd", "curl", "rdma",
)  # fmt: skip
DEBIAN = """\
clock=1795374692.381256511
root=sudo
hostname=Node1.example.org
machine=afcb62634f5710ba2cd826036c57398c
os=Debian GNU/Linux 12 (bookworm)
arch=amd64
cores=16
memory=65856084 kB
curl=curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.22
iptables=/usr/sbin/iptables
systemd=systemd 252 (252.39-1~deb12u2)
state=running
runtime=podman /usr/bin/podman 4.3.1 /var/lib/containers/storage
disk=podman /dev/vda         264212084 65379240  41011672      62% /var/lib/containers
connection=10.0.0.9 56474 10.0.0.1 22
address=lo 127.0.0.1/8
address=eth0 10.0.0.1/24
address=eth1 192.168.7.1/16
route=10.0.0.9 dev eth0 src 10.0.0.1 uid 1000 \\    cache
rdma=
reached=etcd 56 curl: (56) OpenSSL SSL_read: SSL routines::tlsv13 alert certificate required, errno 0
reached=registry 0
end=end
"""
# Ubuntu 24.04 on ARM: both runtimes, a unit that failed, a fabric.
UBUNTU = """\
Welcome to the cluster!
clock=1795374692
root=root
hostname=gpu-7
machine=65350d7968800e5b29a332c15d005e3b
os=Ubuntu 24.04.1 LTS
arch=arm64
cores=64
memory=263000000 kB
curl=curl 8.5.0 (aarch64-unknown-linux-gnu) libcurl/8.5.0 OpenSSL/3.0.13
systemd=systemd 255 (255.4-1ubuntu8.4)
state=degraded
broken=podman Error: default OCI runtime "crun" not found: invalid argument
runtime=docker /usr/bin/docker 24.0.7 /var/lib/docker
disk=docker /dev/nvme0n1p2 959786032 905786032 400000 99% /
connection=fd00::9 56474 fd00::7 22
address=lo 127.0.0.1/8
address=enp1s0 172.16.3.7/20
route=192.0.2.1 via 172.16.0.1 dev enp1s0 src 172.16.3.7 uid 0 \\    cache
rdma=mlx5_0 mlx5_1
end=end
"""
# A container without systemd, of a login that may do nothing.
BARE = """\
clock=1795374600.5
refused=sudo: a password is required
hostname=box_1
machine=
os=Alpine Linux v3.20
arch=x86_64
cores=
memory=500000 kB
curl=
lacks=curl
connection=127.0.0.1 5 127.0.0.1 22
address=lo 127.0.0.1/8
route=
rdma=
end=end
"""


@pytest.fixture
def book(tmp_path: Path) -> NodeBook:
    return NodeBook(tmp_path / "home" / "nodes")


# --- the book


def test_a_node_is_read_as_it_was_added(book: NodeBook) -> None:
    made = node(rdma=True)
    book.add(made, "id1")
    assert book.all() == (made,)
    assert book.get("node1") == made
    assert (book.record("node1").machine, book.record("node1").added[-6:]) == ("id1", "+00:00")


def test_nodes_are_in_the_order_that_people_count_in(book: NodeBook) -> None:
    for name in ("node10", "gpu", "node2", "7"):
        book.add(node(name), "")
    assert [it.name for it in book.all()] == ["7", "gpu", "node2", "node10"]


def test_nobody_else_reads_the_book_or_the_key(book: NodeBook) -> None:
    book.add(node(), "")
    folder = book.identity.parent
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_key_is_one_that_ssh_takes_and_stays_the_same(book: NodeBook) -> None:
    first = book.identity.read_bytes()
    public = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(book.identity)], capture_output=True, text=True, check=True
    ).stdout.split()[:2]
    assert book.public_key.split()[:2] == public
    assert book.identity.read_bytes() == first


def test_a_name_and_a_machine_are_added_once(book: NodeBook) -> None:
    book.add(node(), "id1")
    with pytest.raises(ReceiverError, match="there is a node node1 already"):
        book.add(node(), "id2")
    with pytest.raises(ReceiverError, match="node2 is the same machine as node1"):
        book.add(node("node2"), "id1")
    book.add(node("node3"), "")
    book.add(node("node4"), "")  # machines that have no id are not the same one for that


def test_of_many_who_add_the_same_name_one_succeeds(book: NodeBook) -> None:
    def attempt(_: int) -> bool:
        try:
            NodeBook(book.identity.parent).add(node(), "")
        except ReceiverError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_drained_and_resumed(book: NodeBook) -> None:
    book.add(node(), "id1")
    assert book.drain("node1").drained
    assert book.get("node1").drained
    assert not book.resume("node1").drained
    assert book.record("node1").machine == "id1"


def test_a_removed_node_is_forgotten_with_when_it_was_seen(book: NodeBook) -> None:
    book.add(node(), "id1")
    book.mark_seen(["node1", "never-added"])
    assert book.seen("node1") is not None
    book.remove("node1")
    assert book.all() == ()
    assert (book.seen("node1"), book.seen("never-added")) == (None, None)
    book.add(node(), "id1")
    assert book.seen("node1") is None


@pytest.mark.parametrize("name", ["node9", "../node1", "", "node1.json"])
def test_a_node_that_is_not_there_is_named(book: NodeBook, name: str) -> None:
    book.add(node(), "")
    for ask in (book.get, book.drain, book.resume, book.remove):
        with pytest.raises(ReceiverError, match="there is no node") as refused:
            ask(name)
        assert refused.value.hint == "the nodes are node1"


def test_a_file_that_is_none_of_the_books_is_named(book: NodeBook) -> None:
    book.add(node(), "")
    (book.identity.parent / "node1.json").write_text("{}")
    with pytest.raises(ReceiverError, match=r"node1\.json cannot be read"):
        book.all()


@pytest.mark.parametrize("name", ["node1", "7", "a-b", "a" * 63])
def test_names_of_nodes_are_dns_labels(name: str) -> None:
    assert node_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "A", "a.b", "a" * 64, "ä", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ReceiverError, match="cannot be a node's name"):
        node_name(name)


# --- where to log in


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("node1", Target("", "node1", 0)),
        ("ops@node1", Target("ops", "node1", 0)),
        ("ops@10.0.0.1:2222", Target("ops", "10.0.0.1", 2222)),
        ("root@[fd00::7]:22", Target("root", "fd00::7", 22)),
        ("[fe80::1%eth0]", Target("", "fe80::1%eth0", 0)),
    ],
)
def test_a_login_is_read_as_ssh_users_write_it(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    "text", ["", "@node1", "ops@", "a b", "node1:0", "node1:70000", "-oProxyCommand=x", "a@b@c"]
)
def test_what_is_no_login_is_refused(text: str) -> None:
    with pytest.raises(ReceiverError, match="is not a machine to log in to"):
        Target.parse(text)


def test_a_fingerprint_is_the_one_that_ssh_shows(book: NodeBook) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-lf", f"{book.identity}.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert fingerprint(" ".join(book.public_key.split()[:2])) == shown


# --- what a machine says of itself


def situation(
    text: str, wanted: WantedNode = AS_IT_IS, apart: float = 0.0, parts: tuple[Part, ...] = ()
) -> Situation:
    return Situation(node_facts.parse(text), wanted, apart, "amd64", parts)


def findings(subject: Situation) -> Mapping[str, Finding]:
    return {finding.name: finding for finding in node_checks.examine(subject)}


def bad(subject: Situation) -> set[str]:
    return {name for name, finding in findings(subject).items() if finding.ok is False}


def doubtful(subject: Situation) -> set[str]:
    return {name for name, finding in findings(subject).items() if finding.ok is None}


def test_a_debian_is_a_node_with_all_its_cores_and_most_of_its_memory() -> None:
    subject = situation(DEBIAN)
    assert (bad(subject), doubtful(subject)) == (set(), set())
    made = node_checks.make(subject, LOGIN)
    assert (made.name, made.slots, made.cores, made.arch) == ("node1", 16, 16, "amd64")
    assert made.memory == 65856084 * 1024 * 9 // 10 + 1
    assert (made.address, made.interface, made.subnet) == ("10.0.0.1", "eth0", "10.0.0.0/24")
    assert (made.kind, made.runtime, made.rdma) == ("podman", "/usr/bin/podman", False)


def test_what_the_admin_says_goes_before_what_the_machine_has() -> None:
    subject = situation(DEBIAN, WantedNode("fast", 4, 1 << 30, "192.168.7.1"))
    made = node_checks.make(subject, LOGIN)
    assert (made.name, made.slots, made.memory) == ("fast", 4, 1 << 30)
    assert (made.address, made.interface, made.subnet) == ("192.168.7.1", "eth1", "192.168.0.0/16")


def test_more_than_the_machine_has_is_said_and_not_refused() -> None:
    subject = situation(DEBIAN, WantedNode(slots=17, memory=1 << 40))
    assert (bad(subject), doubtful(subject)) == (set(), {"slots", "memory"})


def test_an_address_that_is_not_its_own_is_refused_with_those_that_are() -> None:
    refused = findings(situation(DEBIAN, WantedNode(address="10.0.0.2")))["address"]
    assert (refused.ok, refused.hint) == (False, "nap nodes add --address one of 10.0.0.1, 192.168.7.1")


def test_docker_serves_where_podman_does_not_work_and_other_things_are_doubtful() -> None:
    subject = situation(UBUNTU)
    assert bad(subject) == set()
    assert doubtful(subject) == {"systemd", "runtime", "disk", "services", "processor"}
    made = node_checks.make(subject, LOGIN)
    assert (made.kind, made.runtime, made.rdma, made.arch) == ("docker", "/usr/bin/docker", True, "arm64")
    assert made.address == "172.16.3.7"  # it was reached over IPv6
    assert 'runtime "crun" not found' in findings(subject)["runtime"].hint


def test_everything_that_is_missing_is_said_at_once() -> None:
    subject = situation(BARE)
    assert bad(subject) == {"root", "systemd", "tools", "slots", "memory", "address"}
    assert findings(subject)["root"].found == "sudo: a password is required"
    assert "runtime" not in findings(subject)  # nobody was there to ask it
    assert findings(subject)["processor"].ok


def test_whatever_is_wrong_says_what_to_do() -> None:
    for text in (DEBIAN, UBUNTU, BARE):
        assert all(it.hint for it in findings(situation(text, apart=9)).values() if it.ok is not True)


def test_a_node_that_is_no_longer_what_it_was_is_told() -> None:
    facts = node_facts.parse(DEBIAN)
    assert node_checks.differs(facts, node(), facts.machine) == []
    (other,) = node_checks.differs(facts, node(), "afcb")
    assert (other.name, other.ok) == ("machine", False)
    (gone,) = node_checks.differs(facts, node(runtime="/usr/bin/docker", kind="docker"), facts.machine)
    assert (gone.name, gone.ok) == ("runtime", False)


@pytest.mark.parametrize(("apart", "ok"), [(0.3, True), (-2.0, True), (2.1, False), (-3600.0, False)])
def test_clocks_may_differ_by_two_seconds(apart: float, ok: bool) -> None:
    assert findings(situation(DEBIAN, apart=apart))["clock"].ok is ok


def test_podmans_imitation_of_docker_is_not_missed() -> None:
    facts = replace(node_facts.parse(DEBIAN), broken={"docker": "unknown field"})
    assert findings(Situation(facts, AS_IT_IS, 0.0, "amd64"))["runtime"].ok


@pytest.mark.parametrize(
    ("asked", "heard", "clock", "apart"),
    [(100, 103, 102, 0), (100, 103, 99, -1), (100, 103, 110, 7), (100, 100.1, 100.05, 0)],
)
def test_a_clock_that_may_have_been_right_when_it_was_read_is(
    monkeypatch: pytest.MonkeyPatch, asked: float, heard: float, clock: float, apart: float
) -> None:
    now = asked
    monkeypatch.setattr(addition.time, "time", lambda: now)

    def pieces() -> Iterator[bytes]:
        nonlocal now
        yield b"what a login's own shell says\n"
        now = heard
        yield f"clock={clock}\n".encode()
        now += 50
        yield DEBIAN.partition("\n")[2].encode()

    assert addition.listen(pieces()).apart == pytest.approx(apart)


def test_no_runtime_and_a_broken_one_are_told_apart() -> None:
    facts = node_facts.parse(DEBIAN)
    without = Situation(replace(facts, runtimes=()), AS_IT_IS, 0.0, "amd64")
    assert findings(without)["runtime"].found == "neither podman nor docker"
    broken = Situation(
        replace(facts, runtimes=(), broken={"podman": "no space left"}), AS_IT_IS, 0.0, "amd64"
    )
    assert findings(broken)["runtime"].found == "podman does not work: no space left"
    assert bad(without) == bad(broken) == {"runtime"}


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ("etcd 0", True),
        ("etcd 56 curl: (56) alert certificate required", True),
        ("etcd 35 curl: (35) sslv3 alert bad certificate", True),
        ("etcd 35 curl: (35) wrong version number", False),
        ("etcd 7 curl: (7) Failed to connect", False),
        ("etcd 60 curl: (60) SSL certificate problem", False),
    ],
)
def test_a_part_is_within_reach_when_it_speaks_tls(told: str, ok: bool) -> None:
    lines = [line for line in DEBIAN.splitlines(keepends=True) if not line.startswith("reached=")]
    text = "".join(lines[:-1]) + f"reached={told}\nend=end\n"
    found = findings(situation(text, parts=(Part("etcd", "https://10.0.0.9:2379"),)))["etcd"]
    assert found.ok is ok
    assert "https://10.0.0.9:2379" in found.found


def test_a_part_that_listens_here_alone_is_checked_later() -> None:
    found = findings(situation(DEBIAN, parts=(Part("etcd", ""),)))["etcd"]
    assert (found.ok, found.hint) == (None, "checked by: nap up --engine systemd")


@pytest.mark.parametrize("text", ["", "bash: sh: command not found\n", DEBIAN.replace("end=end\n", "")])
def test_a_machine_that_does_not_answer_every_question_is_no_node(text: str) -> None:
    with pytest.raises(ReceiverError, match="its shell did not answer the questions"):
        node_facts.parse(text)


@given(st.text(max_size=300))
def test_whatever_a_machine_says_is_facts_or_a_refusal(text: str) -> None:
    try:
        facts = node_facts.parse(text + "\nend=end\n")
    except ReceiverError:
        return
    assert isinstance(node_checks.examine(Situation(facts, AS_IT_IS, 0.0, "amd64")), list)


@given(
    st.sampled_from(QUESTIONS),
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40),
)
def test_an_odd_answer_to_any_question_is_refused_or_counts_as_none(key: str, value: str) -> None:
    try:
        facts = node_facts.parse(f"{key}={value}\nend=end\n")
    except ReceiverError:
        return
    assert isinstance(node_checks.examine(Situation(facts, AS_IT_IS, 0.0, "amd64")), list)


def answers(script: str, path: str = os.environ["PATH"]) -> Facts:
    done = subprocess.run(
        ["/bin/sh", "-s"], input=script, env={"PATH": path, "SSH_CONNECTION": "127.0.0.1 1 127.0.0.1 22"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return node_facts.parse(done.stdout)


def test_this_machine_answers_for_itself() -> None:
    facts = answers(node_facts.script(()))
    assert (facts.hostname, facts.reached) == (os.uname().nodename.partition(".")[0].lower(), {})
    assert facts.cores == len(os.sched_getaffinity(0))
    assert facts.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_parts_are_asked_for_each() -> None:
    facts = answers(
        node_facts.script(
            [Part("etcd", "https://127.0.0.1:1", "it's"), Part("registry", "http://[::1]:1/v2/")]
        )
    )
    assert {name: code for name, (code, _) in facts.reached.items()} == {
        "etcd": 7,
        "registry": 7,
    } or not facts.curl


# --- how nodes are


def test_the_last_line_tells_the_load() -> None:
    load = states.parse("Welcome!\n2.20 1024 running\n", "node1")
    assert (load.load, load.free, load.system) == (2.2, 1 << 20, "running")


@pytest.mark.parametrize("text", ["", "sh: not found", "1.0"])
def test_a_load_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="node1 did not say how it is"):
        states.parse(text, "node1")


def test_a_node_that_nobody_answers_for_is_away_with_what_is_given_of_it(book: NodeBook) -> None:
    nobody = replace(LOGIN, host="127.0.0.1", port=1, host_key=" ".join(book.public_key.split()[:2]))
    book.add(node(login=nobody, drained=True), "")
    links = Links(book.identity, 1)
    uses = (Use("node1", Need(3, 1 << 30)), Use("node9", Need(1)))
    (state,) = states.look(book, links, lambda: uses)
    links.close()
    assert (state.state, state.slots, state.memory, state.seen) == ("away", 3, 1 << 30, None)
    assert "cannot be reached" in state.away
    value = state.as_json()
    assert (value["state"], value["drained"], value["slots"]) == (
        "away",
        True,
        {"all": 4, "used": 3, "free": 1},
    )


def test_the_receiver_tells_what_is_taken_of_nodes(
    book: NodeBook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = replace(LOGIN, host="127.0.0.1", port=1, host_key=" ".join(book.public_key.split()[:2]))
    book.add(node(login=nobody), "")
    monkeypatch.setenv("NAP_HOME", str(tmp_path / "home"))
    with serving(tmp_path / "home") as receiver:
        receiver.answers["GET /nodes/uses"] = [{"node": "node1", "slots": 3, "memory": 1 << 30}] * 2
        told = CliRunner().invoke(nap, ["nodes", "--json"])
    assert json.loads(told.stdout)[0]["slots"] == {"all": 4, "used": 6, "free": 0}
    without = CliRunner().invoke(nap, ["nodes", "--json"])
    assert json.loads(without.stdout)[0]["slots"] == {"all": 4, "used": 0, "free": 4}


# --- what they share

SHARE = Share("/srv/share", 1000)


def shared(**seen: str | UnitError) -> dict[str, tuple[bool | None, str]]:
    answers = {name: marks.split() if isinstance(marks, str) else marks for name, marks in seen.items()}
    return {name: (it.ok, it.found) for name, it in judge(SHARE, answers).items()}


def test_a_directory_is_the_same_where_each_sees_what_the_others_wrote() -> None:
    assert shared(node1="node1 node2", node2="node1 node2") == {
        "node1": (True, "/srv/share for user 1000"),
        "node2": (True, "/srv/share for user 1000, the same as on node1"),
    }


def test_a_node_whose_directory_is_another_one_is_told_and_not_those_that_agree() -> None:
    told = shared(node1="node1", node2="node2 node3", node3="node2 node3")
    assert told["node1"] == (False, "/srv/share is another directory than on node2")
    assert (told["node2"][0], told["node3"][0]) == (True, True)
    assert shared(old="old", new="new")["new"][1] == "/srv/share is another directory than on old"


def test_a_node_that_cannot_write_there_says_why_and_is_no_measure_for_others() -> None:
    refused = UnitError("setpriv failed on ops@node1: mkdir: cannot create directory: Permission denied")
    told = shared(node1=refused, node2="node2")
    assert told["node1"] == (False, "/srv/share cannot be used: Permission denied")
    assert told["node2"] == (True, "/srv/share for user 1000")
