"""Nothing is lost silently: damage is noticed, asked for again, and a lost owner's followers still get their
images."""

import numpy as np
import pytest

from constellation.scenario.scenario import load_scenario
from dlrc.studies.common.rounds import Fleet
from ground.repair import arrive, decode_with_repair
from nodes.downlink import ACKNOWLEDGED, SEND_AGAIN, SEND_INDEPENDENT


@pytest.fixture(scope="module")
def flown():
    fleet = Fleet(
        load_scenario(
            "dense",
            [
                "satellites=4",
                "codec.model=mbt",
                "capture.patch_px=192",
                "capture.window_px=256",
                "scene.size_px=256",
            ],
        )
    )
    return fleet, fleet.fly(0)


def repair(flown, arrived, silent=-1):
    fleet, flight = flown
    asked = []

    def ask(satellite, verdict):
        asked.append((satellite, verdict))
        message = flight.messages[satellite]
        return {ACKNOWLEDGED: b"", SEND_AGAIN: message.stream, SEND_INDEPENDENT: message.independent}[verdict]

    return decode_with_repair(fleet.decoder, arrived, [0, 1, 2, 3], silent, ask), asked


def streams_of(flown):
    return {m.telemetry.satellite: m.stream for m in flown[1].messages}


def test_without_damage_nothing_is_asked_for(flown):
    repaired, asked = repair(flown, streams_of(flown))
    assert {verdict for _, verdict in asked} == {ACKNOWLEDGED}
    assert not repaired.resent and not repaired.replaced and not repaired.result.failures


def test_a_damaged_stream_blocks_its_followers_until_it_is_sent_again(flown):
    streams = streams_of(flown)
    good, _ = repair(flown, streams)
    damaged = {**streams, 0: streams[0][:-9] + bytes([streams[0][-9] ^ 1]) + streams[0][-8:]}
    first = flown[0].decoder.decode(damaged)
    assert 0 in first.failures and len(first.failures) > 1
    repaired, _ = repair(flown, damaged)
    assert repaired.resent == (0,) and not repaired.result.failures
    for satellite in streams:
        assert np.array_equal(repaired.result.latents[satellite], good.result.latents[satellite])


def test_followers_of_a_silent_owner_send_their_independent_streams(flown):
    streams = streams_of(flown)
    repaired, _ = repair(flown, {s: data for s, data in streams.items() if s != 0}, silent=0)
    assert repaired.replaced and 0 not in repaired.result.latents
    independent = flown[1].results["independent"]
    for satellite in repaired.replaced:
        assert np.array_equal(repaired.result.latents[satellite], independent.latents[satellite])


def test_damage_is_drawn_from_the_seed_and_never_silent(flown):
    knobs = load_scenario("dense", ["ground.stream_loss=0.5"]).ground
    streams = streams_of(flown)
    first, second = (arrive(streams, knobs, 7, 3) for _ in range(2))
    assert first == second
    changed = {s for s in streams if first[s] != streams[s]}
    assert changed and changed <= set(flown[0].decoder.decode(first).failures)


def test_a_silent_satellite_on_a_lossy_link_sends_nothing(flown):
    knobs = load_scenario("dense", ["ground.stream_loss=0.999", "ground.silent_satellite=2"]).ground
    assert arrive({**streams_of(flown), 2: b""}, knobs, 7, 3).keys() == {0, 1, 3}
