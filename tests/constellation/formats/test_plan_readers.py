"""ION's and HDTN's plans in other programs: dtn-tvg-util takes their contacts, aiodtnsim finds the routes."""

import json
import math
from datetime import datetime

import pytest

from constellation.formats.making import plan_of
from constellation.formats.plan import hdtn_plan, ion_plan, tvg_plan
from constellation.scenario.load import load_network
from constellation.sync.series import Setting

SPAN_S = 3 * 3600.0


@pytest.fixture(scope="module")
def plan():
    words = ["orbit.pattern=53:24/3/1", "satellites=4", "ground.stations=Matera,Santiago"]
    knobs = load_network("edge_space_com", words)
    return plan_of(Setting.of(knobs), knobs.ground, SPAN_S, "all")


def of_ion(text, epoch):
    """By the grammar of ionrc(5), with no line of ours: contacts, and the light times beside them."""
    words = {word for line in text.splitlines() if line[0] == "a" for word in line.split()[2:4]}
    moments = {word: datetime.strptime(word + "+0000", "%Y/%m/%d-%H:%M:%S%z") for word in words}
    at, contacts, delays = {word: (one - epoch).total_seconds() for word, one in moments.items()}, [], {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        verb, kind, begin, end, source, target, amount, *confidence = line.split()
        key = (source, target, at[begin], at[end])
        if (verb, kind) == ("a", "contact"):
            assert confidence == ["1.0"]
            contacts.append((*key, 8.0 * int(amount)))
        else:
            assert (verb, kind, confidence) == ("a", "range", [])
            delays[key] = int(amount)
    return [(*one, delays[one[:4]]) for one in contacts]


def of_hdtn(text):
    """By the keys of HDTN's contact plans."""
    keys = ("source", "dest", "startTime", "endTime", "rateBitsPerSec", "owlt")
    rows = json.loads(text)["contacts"]
    assert [row["contact"] for row in rows] == list(range(len(rows)))
    assert all(type(value) is int for row in rows for value in row.values())
    return [(str(row["source"]), str(row["dest"]), *(row[key] for key in keys[2:])) for row in rows]


def arrivals(contacts, nodes):
    """Earliest arrivals at the stations from every satellite at second 0, by aiodtnsim."""
    from aiodtnsim.simulation.cgr.tvdijkstra import tvdijkstra
    from tvgutil import tvg
    from tvgutil.contact_plan import Contact, SimplePredictedContactTuple

    known = [
        Contact.simple(a, b, begin, end, bit_rate=rate, delay=delay)
        for a, b, begin, end, rate, delay in contacts
    ]
    graph = tvg.from_contact_plan(known, contact_type=Contact)

    def simple(one):
        told = one.characteristics[0]
        ends = one.tx_node, one.rx_node
        return SimplePredictedContactTuple(
            *ends, one.start_time, one.end_time, told.bit_rate, 1.0, told.delay
        )

    edges = {ends: [simple(one) for one in several] for ends, several in graph.edges.items()}
    simplified = tvg.TVG(graph.vertices, edges)
    found = {}
    for source in (one for one in nodes[:24] if one in graph.vertices):
        result = tvdijkstra(simplified, source, node_blacklist=set(), contact_blacklist=set())
        found |= {
            (source, station): result.metrics[station] for station in nodes[24:] if station in graph.vertices
        }
    return found


def test_routes_by_aiodtnsim_over_ions_and_hdtns_plans_arrive_within_their_whole_seconds(plan):
    nodes = [str(number) for number in range(1, len(plan.names) + 1)]
    exact = arrivals(
        [(str(c.source), str(c.target), c.begin_s, c.end_s, c.rate_bps, c.delay_s) for c in plan.contacts],
        nodes,
    )
    ion = arrivals(of_ion(ion_plan(plan), plan.epoch), nodes)
    hdtn = arrivals(of_hdtn(hdtn_plan(plan)), nodes)
    reached = [key for key, one in exact.items() if math.isfinite(one.eat)]
    assert len(reached) > 24
    for key in reached:
        assert ion[key].eat == hdtn[key].eat
        hops = max(exact[key].hops, ion[key].hops)
        assert -0.02 * hops <= ion[key].eat - exact[key].eat < 1.0 + 0.02 * hops


def test_the_exact_graph_and_the_plans_have_the_same_contacts_in_dtn_tvg_util(plan):
    from tvgutil import tvg

    exact = tvg.to_contact_plan(tvg.from_serializable(json.loads(tvg_plan(plan))))
    whole = sorted(
        (c.tx_node, c.rx_node, math.ceil(c.start_time), math.floor(c.end_time))
        for c in exact
        if math.floor(c.end_time) > math.ceil(c.start_time)
    )
    assert sorted(one[:4] for one in of_hdtn(hdtn_plan(plan))) == whole
    assert sorted(one[:4] for one in of_ion(ion_plan(plan), plan.epoch)) == whole
