"""A priority rule of one's own: satellites take turns in being the first to keep a shared vector.

    python examples/priority_rule.py

A rule is a function of (headers, seed, round) that returns satellite ids, highest priority first. Every
satellite calls it with the same headers, so it must depend on nothing else: no clock, no file, no random
numbers of its own."""

import sys
from pathlib import Path

import dlrc


def turns(headers, seed, number):
    """The satellite whose turn it is goes first, the others follow by id. headers: ascending by satellite,
    each with `satellite` and `metric`."""
    ids = [header.satellite for header in headers]
    first = (seed + number) % len(ids)
    return ids[first:] + ids[:first]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))  # so that the rule's module is found by its name
    rule = {"priority.rule": "priority_rule:turns", "priority.trust": True}
    run = dlrc.run("smoke", rounds=2, **rule)
    for record in run.rounds:
        kept = {one.satellite: one.kept for one in record.satellites}
        print(f"round {record.number}: order {record.order}, positions kept {kept}")
