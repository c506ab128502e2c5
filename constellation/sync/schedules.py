"""Schedules of one all_gather among K satellites: who sends which blocks to whom, after what.

`unicast` (the paper): everybody sends its block to everybody, at once. `ring`: block b walks round the ring,
K - 1 steps. `tree`: blocks are gathered up a binomial tree to its root and the whole is broadcast down. Ring
and tree follow the given order, so the caller puts neighbours next to each other (`select_region` hands out
the nearest to the region first, which makes the root the most central)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """One message between two participants (their indices). blocks: whose payloads it carries. after:
    transfers that must have arrived."""

    sender: int
    receiver: int
    blocks: tuple[int, ...]
    after: tuple[int, ...] = ()


def unicast(members: Sequence[int]) -> list[Transfer]:
    """Everybody to everybody; each starts with its successor in the order, so that no satellite is
    everybody's first target."""
    count = len(members)
    return [
        Transfer(members[i], members[(i + step) % count], (members[i],))
        for i in range(count)
        for step in range(1, count)
    ]


def ring(members: Sequence[int]) -> list[Transfer]:
    """K - 1 steps; in step j member i passes on the block that came in step j - 1 (in step 1 its own)."""
    count = len(members)
    plan: list[Transfer] = []
    for step in range(count - 1):
        for i in range(count):
            came = ((step - 1) * count + (i - 1) % count,) if step else ()
            plan.append(Transfer(members[i], members[(i + 1) % count], (members[(i - step) % count],), came))
    return plan


def tree(members: Sequence[int]) -> list[Transfer]:
    """Binomial gather to members[0], then binomial broadcast of all blocks. Depth is the logarithm of K,
    twice."""
    count = len(members)
    plan: list[Transfer] = []
    holds: list[tuple[int, ...]] = [(member,) for member in members]
    came: list[tuple[int, ...]] = [() for _ in members]
    stride = 1
    while stride < count:  # up: i + stride hands what its subtree holds to i
        for i in range(0, count - stride, 2 * stride):
            plan.append(Transfer(members[i + stride], members[i], holds[i + stride], came[i + stride]))
            holds[i] += holds[i + stride]
            came[i] += (len(plan) - 1,)
        stride *= 2
    has_all = {0: came[0]} if count else {}
    while stride > 1:  # down: the mirror image, everything to everybody
        stride //= 2
        for i in range(0, count - stride, 2 * stride):
            plan.append(Transfer(members[i], members[i + stride], holds[0], has_all[i]))
            has_all[i + stride] = (len(plan) - 1,)
    return plan


SCHEDULES = {"unicast": unicast, "ring": ring, "tree": tree}
