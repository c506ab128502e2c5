"""The delivery study: a run's streams become files, and pictures need whom they copy."""

import numpy as np
import pytest

from codec.maps.assignment import KEPT, REMOTE
from constellation.common.cli import read
from constellation.common.errors import UserError
from constellation.orbit.orbits import load_constellation
from constellation.passes.delivery.simulate import deliver
from dlrc.studies.questions import delivery
from dlrc.studies.questions.delivery_files import needs_of
from dlrc.studies.questions.delivery_report import rows
from ground.records import PREDICTED, Fates, RoundRecord
from tests.dlrc.run_cases import fates, record


def copies(*owners):
    return fates([[REMOTE if one >= 0 else KEPT for one in owners]], np.array([owners]))


def test_a_picture_needs_its_owners_and_theirs():
    found = needs_of(
        RoundRecord(
            0,
            (
                record(0, 0, fates=copies(-1, -1)), record(0, 1, fates=copies(0, -1)),
                record(0, 2, fates=copies(1, -1)), record(0, 3, fates=copies(-1, -1)),
            ),
            (0, 1, 2, 3),
        )
    )  # fmt: skip
    assert found == {0: frozenset(), 1: {0}, 2: {0, 1}, 3: frozenset()}


def test_a_picture_needs_both_that_an_average_is_of():
    shown = Fates(np.array([[PREDICTED, KEPT]]), np.zeros((1, 2)), np.array([[0, -1]]))
    seen = record(0, 2, fates=shown, needs=(0, 1))
    alone = (record(0, one, fates=copies(-1, -1)) for one in (0, 1))
    assert needs_of(RoundRecord(0, (*alone, seen), (0, 1, 2)))[2] == {0, 1}


def test_a_plan_takes_the_place_of_computed_passes(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(
        '{"contacts": [{"source": 3, "dest": 25, "startTime": 10, "endTime": 99, "rateBitsPerSec": 800000},'
        '{"source": 25, "dest": 3, "startTime": 10, "endTime": 99, "rateBitsPerSec": 800000}]}'
    )
    words = [f"plan={path}", "orbit.pattern=53:24/3/1", "unit_loss=0", "handover_s=0"]
    given = read(delivery.COMMAND, words)
    files = (delivery.File(0, 2, 0, 0, 100_000, 0.0),)
    passes = delivery.passes_of(given.subject, files, given.own)
    account = deliver(files, passes, given.own, "fifo", 0)
    assert account.fates[0].done_s == pytest.approx(11.014, abs=0.001)
    assert rows([delivery.Delivered("id", "dlrc", account)])[0]["adds_up"] is True
    with pytest.raises(UserError, match="node 25, expected 12 satellites"):
        delivery.planned_passes(given.subject, given.own, 12, (0.0, 1.0))
    assert len(load_constellation(given.subject.orbit)) == 24
