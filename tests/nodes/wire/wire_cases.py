"""Sides that say little and write down all they hear, and the faults that they are flown with."""

from nodes.wire.faults import Faults
from nodes.wire.stages import GROUND, Send, Stage, Step

CREWS = ((0, 1), (2,), (3,))
ROUNDS = 2


def heard_as_data(heard):
    by = {receiver: sorted(senders) for receiver, senders in heard.by.items()}
    return list(heard.messages.items()), by, sorted(heard.lost)


def crew(numbers, number, log):
    """A crew's round: 16-byte headers, 11-byte lists to a narrowed audience, streams, answers to what is
    asked."""

    def say(step, size=0, audience=None, part=0, only=None):
        stage = Stage(number, step, part)
        alike = {
            s: (b"%d %d %d %d;" % (s, number, step, part)) * 40 for s in numbers if only is None or s in only
        }
        sized = {s: data[:size] for s, data in alike.items()} if step.gathers else alike
        sparse = step == Step.EXCHANGE and number == 1
        heard = yield Send(stage, sized if step != Step.REQUEST else {}, size, audience, sparse)
        log.append((stage, heard_as_data(heard), sorted(heard.spoiled)))
        return heard

    heard = yield from say(Step.HEADERS, 16)
    living = [s for s in numbers if s in heard.by]
    audience = {s: frozenset(r for r in range(4) if (r - s) % 4 != 2) for s in range(4)}
    heard = yield from say(Step.EXCHANGE, 11, audience, only=living)
    yield from say(Step.DOWNLINK)
    yield from say(Step.WITNESS)
    if not living:
        return "dead"
    for part in range(3):
        heard = yield from say(Step.REQUEST, part=part)
        asked = heard.messages.get(GROUND)
        if not asked or asked == b"closed":
            return asked
        yield from say(Step.ANSWER, part=part, only=list(asked))


def ground(number, log):
    def hear(step, part=0, messages=None):
        heard = yield Send(Stage(number, step, part), messages or {})
        log.append((Stage(number, step, part), heard_as_data(heard)))
        return heard

    yield from hear(Step.DOWNLINK)
    yield from hear(Step.WITNESS)
    for part, asked in enumerate((bytes([0, 2]), bytes([1]), b"closed")):
        yield from hear(Step.REQUEST, part, {GROUND: asked})
        if asked != b"closed":
            yield from hear(Step.ANSWER, part)
    return "heard"


def side_of(nodes, number, log):
    return ground(number, log) if GROUND in nodes else crew(nodes, number, log)


FAULTS = {
    "none": Faults(),
    "loss": Faults(loss=0.5, seed=3),
    "mute": Faults(mute=frozenset({2})),
    "cut header, list, stream and answer": Faults(
        cut=frozenset(
            {
                (1, Stage(0, Step.HEADERS)),
                (0, Stage(0, Step.EXCHANGE)),
                (3, Stage(0, Step.DOWNLINK)),
                (2, Stage(1, Step.ANSWER, 0)),
            }
        )
    ),
    "cut request": Faults(
        cut=frozenset({(GROUND, Stage(0, Step.REQUEST, 0)), (GROUND, Stage(1, Step.REQUEST, 1))})
    ),
    "damaged": Faults(
        damaged=frozenset(
            {(2, Stage(0, Step.HEADERS)), (1, Stage(1, Step.EXCHANGE)), (GROUND, Stage(1, Step.REQUEST, 0))}
        )
    ),
    "a death within a crew": Faults(deaths={1: Stage(0, Step.EXCHANGE)}),
    "a whole crew's death": Faults(deaths={2: Stage(0, Step.WITNESS), 3: Stage(1, Step.HEADERS)}),
    "the ground's death": Faults(deaths={GROUND: Stage(1, Step.REQUEST, 0)}),
}
