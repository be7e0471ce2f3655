"""Which node each slave gets, and what is said when there is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as some

from units.placement.capacity import Need, Offer, Room, Use
from units.placement.explain import never_fits, why_not
from units.placement.place import Ask, Placement, Policy, Ranks, place

G = 1 << 30
PACK, SPREAD = Policy.PACK, Policy.SPREAD

FOUR_TWO = (Offer("node1", 4), Offer("node2", 2))

needs = some.builds(Need, some.integers(1, 6), some.integers(0, 3).map(lambda gigabytes: gigabytes * G))
arches = some.sampled_from(["amd64", "amd64", "arm64"])
asks = some.builds(Ask, some.lists(needs, min_size=1, max_size=4).map(tuple), arches)
ranks = some.builds(Ranks, some.integers(1, 16), some.integers(1, 3), some.sampled_from([0, G]), arches)
anything = asks | ranks
policies = some.sampled_from(list(Policy))


@some.composite
def clusters(draw: some.DrawFn, most: int = 5) -> tuple[Offer, ...]:
    memory, closed = some.integers(0, 8).map(lambda n: n * G), some.sampled_from(["", "away"])
    sizes = some.tuples(some.integers(1, 9), some.none() | memory, arches, closed)
    drawn = draw(some.lists(sizes, min_size=1, max_size=most))
    return tuple(Offer(f"node{at}", *size) for at, size in enumerate(drawn, start=1))


def slaves(*slots: int, memory: int = 0) -> Ask:
    return Ask(tuple(Need(count, memory) for count in slots))


def nodes_of(placement: Placement | None) -> list[str]:
    assert placement is not None
    return [use.node for use in placement]


def holds(nodes: tuple[Offer, ...], placement: Placement, arch: str) -> bool:
    """Whether these nodes, empty, can carry it."""
    by_name = {node.name: node for node in nodes}
    slots: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for use in placement:
        slots[use.node] += use.need.slots
        memory[use.node] += use.need.memory
    return all(
        not node.closed
        and node.arch == arch
        and slots[name] <= node.slots
        and (node.memory is None or memory[name] <= node.memory)
        for name, node in ((name, by_name[name]) for name in slots)
    )


def test_pack_takes_the_node_with_the_least_left_over() -> None:
    room = Room([Offer("large", 16), Offer("small", 4), Offer("tiny", 1)])
    assert nodes_of(place(slaves(3), room, PACK)) == ["small"]
    assert nodes_of(place(slaves(2, 2, 2), room, PACK)) == ["small", "small", "large"]


def test_spread_takes_the_emptiest_node_each_time() -> None:
    room = Room([Offer("node1", 4), Offer("node2", 4), Offer("node3", 3)])
    assert nodes_of(place(slaves(1, 1, 1), room, SPREAD)) == ["node1", "node2", "node1"]


def test_what_runs_already_is_not_free() -> None:
    room = Room(FOUR_TWO, [Use("node1", Need(3))])
    assert nodes_of(place(slaves(2), room, PACK)) == ["node2"]
    assert place(slaves(2, 2), room, PACK) is None


def test_of_nodes_with_equal_slots_pack_takes_the_one_with_the_least_memory() -> None:
    room = Room([Offer("much", 4, 8 * G), Offer("untold", 4), Offer("little", 4, 2 * G)])
    assert nodes_of(place(slaves(1, memory=G), room, PACK)) == ["little"]
    assert nodes_of(place(slaves(1, memory=4 * G), room, PACK)) == ["much"]


def test_memory_is_taken_like_slots() -> None:
    room = Room([Offer("node1", 8, 4 * G), Offer("node2", 8, 2 * G)])
    assert nodes_of(place(slaves(1, 1, 1, memory=2 * G), room, PACK)) == ["node2", "node1", "node1"]
    assert place(slaves(1, 1, 1, 1, memory=2 * G), room, PACK) is None


def test_ties_go_by_the_order_of_nodes() -> None:
    nodes = [Offer("b", 4), Offer("a", 4), Offer("c", 4)]
    for policy in Policy:
        assert nodes_of(place(slaves(2), Room(nodes), policy)) == ["b"]


def test_a_closed_node_and_one_of_another_architecture_get_nothing() -> None:
    room = Room([Offer("drained", 8, closed="drained"), Offer("arm", 8, arch="arm64"), Offer("node1", 2)])
    assert nodes_of(place(slaves(1, 1), room, SPREAD)) == ["node1", "node1"]
    assert place(slaves(1, 1, 1), room, SPREAD) is None


def test_unequal_slaves_fit_where_one_by_one_would_fail() -> None:
    placement = place(slaves(3, 3, 2, 2), Room([Offer("four", 4), Offer("six", 6)]), PACK)
    assert nodes_of(placement) == ["six", "six", "four", "four"]


def test_a_job_that_asks_for_nothing_is_never_short_of_it() -> None:
    assert place(Ask(()), Room([]), PACK) == ()
    assert why_not(Ask(()), ()) == never_fits(Ask(()), ()) == ""


def test_a_node_that_was_made_smaller_than_its_use_has_nothing_free() -> None:
    room = Room([Offer("node1", 2)], [Use("node1", Need(4))])
    assert (room.left("node1"), room.free("amd64")) == ((0, room.left("node1")[1]), 0)
    room.give_back(Use("node1", Need(3)))
    assert (room.left("node1")[0], room.free("amd64")) == (1, 1)


def test_uses_of_nodes_that_are_closed_or_gone_change_nothing() -> None:
    room = Room([Offer("node1", 2), Offer("node2", 2, closed="drained")])
    for name in ("node2", "gone"):
        room.take(Use(name, Need(1)))
        room.give_back(Use(name, Need(1)))
    assert room.free("amd64") == 2


def test_ranks_take_one_node_when_one_has_room_and_the_tightest_such() -> None:
    room = Room([Offer("large", 16), Offer("small", 8), Offer("tiny", 2)])
    assert place(Ranks(8), room, PACK) == (Use("small", Need(8)),)


def test_ranks_take_the_fewest_nodes_in_even_shares() -> None:
    room = Room([Offer("node1", 8), Offer("node2", 8), Offer("node3", 8)])
    assert place(Ranks(10), room, PACK) == (Use("node1", Need(5)), Use("node2", Need(5)))


def test_ranks_take_what_the_roomiest_nodes_have_when_even_shares_do_not_fit() -> None:
    room = Room([Offer("small", 2), Offer("middle", 6), Offer("large", 16)])
    assert place(Ranks(21), room, PACK) == (Use("large", Need(15)), Use("middle", Need(6)))


def test_ranks_are_whole_and_each_slave_has_its_memory() -> None:
    room = Room([Offer("odd", 5, 8 * G), Offer("poor", 8, G), Offer("node3", 4, 4 * G)])
    assert place(Ranks(4, cpus_per_rank=2, memory=2 * G), room, PACK) == (
        Use("node3", Need(4, 2 * G)),
        Use("odd", Need(4, 2 * G)),
    )
    assert place(Ranks(5, cpus_per_rank=2, memory=2 * G), room, PACK) is None


@given(clusters(), some.lists(anything, max_size=5), policies)
def test_no_node_is_ever_over_its_slots_or_memory_or_of_another_architecture(
    nodes: tuple[Offer, ...], asked: list[Ask | Ranks], policy: Policy
) -> None:
    room = Room(nodes)
    by_arch: dict[str, Placement] = {}
    for ask in asked:
        placement = place(ask, room, policy) or ()
        for use in placement:
            room.take(use)
        by_arch[ask.arch] = by_arch.get(ask.arch, ()) + placement
    assert all(holds(nodes, placement, arch) for arch, placement in by_arch.items())


@given(clusters(), anything, policies)
def test_all_slaves_get_a_node_or_none_does(
    nodes: tuple[Offer, ...], ask: Ask | Ranks, policy: Policy
) -> None:
    placement = place(ask, Room(nodes), policy)
    if placement is None:
        return
    given_ = [use.need for use in placement]
    if isinstance(ask, Ask):
        assert given_ == list(ask.needs)
    else:
        assert sum(need.slots for need in given_) == ask.slots
        assert all(need.slots % ask.cpus_per_rank == 0 and need.slots > 0 for need in given_)
        assert len({use.node for use in placement}) == len(placement)


@given(clusters(most=3), asks, policies)
def test_a_placement_is_found_exactly_when_there_is_one(
    nodes: tuple[Offer, ...], ask: Ask, policy: Policy
) -> None:
    names = [node.name for node in nodes]
    every = product(names, repeat=len(ask.needs))
    ways = (tuple(map(Use, way, ask.needs)) for way in every)
    there_is = any(holds(nodes, way, ask.arch) for way in ways)
    assert (place(ask, Room(nodes), policy) is not None) == there_is


@given(clusters(), some.lists(anything, max_size=4), anything, policies)
def test_a_room_is_as_before_after_placing_and_after_giving_back(
    nodes: tuple[Offer, ...], before: list[Ask | Ranks], ask: Ask | Ranks, policy: Policy
) -> None:
    room = Room(nodes)
    uses = [use for earlier in before for use in place(earlier, room, policy) or ()][:1]
    for use in uses:
        room.take(use)
    placement = place(ask, room, policy)
    assert place(ask, room, policy) == placement == place(ask, Room(nodes, uses), policy)
    for use in uses:
        room.give_back(use)
    assert [room.left(node.name) for node in room.nodes] == [
        Room(nodes).left(node.name) for node in room.nodes
    ]


@given(clusters(), needs, arches)
def test_pack_leaves_the_least_and_spread_the_most(nodes: tuple[Offer, ...], need: Need, arch: str) -> None:
    ask = Ask((need,), arch)
    left = {
        node.name: node.slots - need.slots for node in nodes if holds(nodes, (Use(node.name, need),), arch)
    }
    for policy, best in ((PACK, min), (SPREAD, max)):
        placement = place(ask, Room(nodes), policy)
        assert (placement is None) == (not left)
        assert placement is None or left[placement[0].node] == best(left.values())


def test_what_never_fits_is_told_with_what_is_missing() -> None:
    nodes = (Offer("node1", 4, 2 * G), Offer("node2", 2, G), Offer("arm", 64, arch="arm64"))
    told = {
        slaves(8, 8, 8): "needs 3 slaves of 8 slots; the largest node, node1, has 4",
        slaves(1, memory=3 * G): "needs 1 slot with 3G; of nodes with 1 slot, node1 has the most memory: 2G",
        slaves(2, 2, 2, 2): "needs 4 slaves of 2 slots; the 2 nodes have 6 in all, and it takes 8",
        slaves(3, 3): "needs 2 slaves of 3 slots; the nodes have node1 4, node2 2",
        Ranks(7): "needs 7 slots; the 2 nodes have 6 in all",
        Ranks(2, cpus_per_rank=8): "needs 16 slots (8 a rank); the largest node, node1, has 4",
        Ask((Need(1),), "s390x"): (
            "needs 1 slot; no node is s390x, as its image is: node1 amd64, node2 amd64, arm arm64"
        ),
    }
    for ask, sentence in told.items():
        assert never_fits(ask, nodes) == sentence
    assert never_fits(slaves(1), ()) == "needs 1 slot; there are no nodes"


def test_a_drained_node_may_come_back_so_what_fits_on_it_is_not_refused() -> None:
    nodes = [replace(FOUR_TWO[0], closed="drained"), FOUR_TWO[1]]
    assert never_fits(slaves(4), nodes) == ""
    assert why_not(slaves(4), nodes) == "needs 4 slots; free: node1 drained, node2 2"


def test_what_waits_is_told_with_what_is_free() -> None:
    assert why_not(slaves(8, 8, memory=2 * G), FOUR_TWO) == (
        "needs 2 slaves of 8 slots with 2G each; free: node1 4, node2 2"
    )
    nodes = (Offer("node1", 4, 3 * G), Offer("node2", 2))
    assert why_not(slaves(3, memory=3 * G), nodes, [Use("node1", Need(1, 512 << 20))]) == (
        "needs 3 slots with 3G; free: node1 3 with 2.5G, node2 2"
    )
    assert why_not(slaves(2, 2), FOUR_TWO) == ""


def test_of_many_nodes_the_first_few_are_told() -> None:
    nodes = [Offer(f"node{at}", 2) for at in range(1, 101)]
    assert why_not(slaves(3), nodes).endswith("node5 2, node6 2 and 94 more")


@given(clusters(), anything)
def test_what_is_refused_has_a_sentence_and_what_is_not_fits_the_empty_nodes(
    nodes: tuple[Offer, ...], ask: Ask | Ranks
) -> None:
    fits = place(ask, Room(replace(node, closed="") for node in nodes), PACK) is not None
    assert bool(never_fits(ask, nodes)) != fits


@pytest.mark.parametrize("policy", list(Policy))
def test_the_same_input_gives_the_same_placement(policy: Policy) -> None:
    nodes = [Offer(f"node{at}", 4 + at % 3, (1 + at % 2) * 8 * G) for at in range(30)]
    placements = {place(slaves(3, 3, 2, 2, memory=G), Room(nodes), policy) for _ in range(3)}
    assert len(placements) == 1
