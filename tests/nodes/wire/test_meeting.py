"""How long who is missing is waited for: counted from the last sign of life."""

from nodes.wire import meeting
from nodes.wire.meeting import _Waiting


def test_waiting_is_in_vain_only_when_nothing_has_changed_for_the_limit(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr(meeting.time, "monotonic", lambda: now_s[0])
    waiting, found = _Waiting(10.0), []
    for second, beat in [(0.5, 1), (2, 1), (9, 2), (18, 2), (19.5, 2)]:
        now_s[0] = second
        found.append(waiting.looks_again() and waiting.in_vain({8: beat}))
    assert found == [False, False, False, False, True]
