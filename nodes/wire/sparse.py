"""An exchange in which messages go only to the processes of those they are meant for, point to point: its
cost grows with neighbours, where an all_gather's grows with all satellites."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nodes.wire.frames import Frames
from nodes.wire.stages import Send


def scattered(
    send: Send, crews: Mapping[int, Collection[int]], place: int, frames: Frames
) -> dict[int, bytes]:
    """Every satellite's message by sender, those that are meant for other processes' satellites empty.

    crews: satellites by place of their process; place: this process's. Who sends to whom follows from the
    audience, so nobody waits for a frame that does not come, and one frame carries all that one process has
    for another. Raises `ValueError` for a message of another size than was announced."""
    audience = send.audience or {}
    for satellite, data in send.messages.items():
        if len(data) != send.size:
            raise ValueError(f"{send.stage}: satellite {satellite} sends {len(data)} of {send.size} bytes")
    apart = {other: frozenset(crew) for other, crew in crews.items() if other != place}
    for other, crew in apart.items():
        meant = [s for s in crews[place] if not crew.isdisjoint(audience.get(s, ()))]
        if meant:
            frames.post(send.stage, {s: send.messages[s] for s in meant if s in send.messages}, [other])
    found = dict.fromkeys(audience, b"")
    own = frozenset(crews[place])
    for other, crew in apart.items():
        if any(not own.isdisjoint(audience.get(s, ())) for s in crew):
            found |= frames.of(other, send.stage)
    return found | dict(send.messages)
