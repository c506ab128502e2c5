"""What a run says while it flies: one line at its beginning, one for each round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from constellation.common.text import counted
from constellation.orbit.orbits import load_constellation
from constellation.scenario.coding import CodecKnobs
from constellation.scenario.scenario import NetworkScenario
from constellation.sync.series import constellation_label
from dlrc.store.summary import Facts
from ground.records import Outcome, RoundRecord

if TYPE_CHECKING:
    from codec.models.model import LatentModel

TELLING = {  # of outcomes that a line names its satellites for
    Outcome.RESENT: "damaged on arrival and sent again",
    Outcome.INDEPENDENT: "owner or stream lost, independent stream instead",
    Outcome.INCOMPLETE: "image with gaps",
    Outcome.LOST: "no image",
}


def opening(network: NetworkScenario, codec: CodecKnobs, facts: Facts, model: LatentModel) -> str:
    """Who flies with what over what, after a line for the satellites left out."""
    # read once more, where somebody asked for it, to say which are left out
    notes = load_constellation(network.orbit).notes if network.orbit.skip_bad else []
    return "".join(f"{note}\n" for note in notes) + (
        f"{network.name}: {counted(network.satellites, 'satellite')} of "
        f"{constellation_label(network.orbit)}, {counted(network.rounds, 'round')}, {codec.said} lambda "
        f"{codec.lambda_:g} (N={model.n}, M={model.m}); scene: {facts.scene_source}"
    )


def round_title(number: int, rounds: int) -> str:
    """The words for round `number` of so many, everywhere: "round 1/4"."""
    return f"round {number + 1}/{rounds}"


def progress(network: NetworkScenario, record: RoundRecord, estimate: bool = False) -> str:
    """What came of a round; below it, whose image did not come as it should. estimate: its bytes are one."""
    came = [one for one in record.satellites if one.outcome is not Outcome.LOST]
    before, after = sum(one.independent.total for one in came), sum(one.dlrc.total for one in came)
    exact = sum(one.exact for one in record.satellites)
    change = f" ({100 * (after / before - 1):+.1f} %)" if before else ""
    kind = " (open-loop ESTIMATE)" if estimate else ""
    head = (
        f"{round_title(record.number, network.rounds)}: {looked(record, network.satellites)}{exact} of "
        f"{len(record.satellites)} streams decoded exactly, {before:.0f} -> {after:.0f} bytes{kind}{change}"
    )
    return "\n  ".join([head, *_troubles(record, network.satellites)])


def looked(record: RoundRecord, satellites: int) -> str:
    """Where orbits decide: how many looked, and how many of the others heard them."""
    if not record.looked_away:
        return ""
    listened = len(record.listened)
    heard = f" and {listened} listened" if listened else ""
    return f"{satellites - len(record.looked_away)} of {satellites} looked{heard}; "


def generated_words(rounds: Sequence[RoundRecord]) -> str:
    """Of pictures that `ground.compensation` made: nothing without any."""
    rows = [row for row in generated_rows(rounds) if row["change_db"] is not None]
    made = sum(len(record.generated) for record in rounds)
    if not made:
        return ""
    kind = next(one.kind for record in rounds for one in record.generated)
    change = f", {sum(row['change_db'] for row in rows) / len(rows):+.3f} dB against them" if rows else ""
    return f"{counted(made, 'picture')} by {kind} beside the decoded ones{change}; no part of the product"


def generated_rows(rounds: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    """A row for each picture that `ground.compensation` made, beside the quality of the decoded one."""
    rows = []
    for record in rounds:
        decoded = {one.satellite: one.quality_dlrc for one in record.satellites}
        for one in record.generated:
            plain, made = decoded.get(one.satellite), one.quality
            rows.append(
                {
                    "round": record.number,
                    "satellite": one.satellite,
                    "generated_by": one.kind,
                    "metadata": one.metadata,
                    "generated_psnr_db": made.psnr_db if made else None,
                    "decoded_psnr_db": plain.psnr_db if plain else None,
                    "change_db": made.psnr_db - plain.psnr_db if made and plain else None,
                    "generated_ms_ssim": made.ms_ssim if made else None,
                    "decoded_ms_ssim": plain.ms_ssim if plain else None,
                }
            )
    return rows


def _troubles(record: RoundRecord, satellites: int) -> list[str]:
    lines = [f"satellite {one.satellite}: {one.fault}" for one in record.satellites if one.fault]
    for outcome, meaning in TELLING.items():
        who = [one.satellite for one in record.satellites if one.outcome is outcome]
        if who:
            lines.append(f"{outcome.value}, {meaning}: {_named(who)}")
    came = {one.satellite for one in record.satellites}
    silent = sorted(set(range(satellites)) - came - record.looked_away)
    return [*lines, f"no word of: {_named(silent)}"] if silent else lines


def _named(satellites: Sequence[int], most: int = 12) -> str:
    more = f" and {len(satellites) - most} more" if len(satellites) > most else ""
    noun = "satellite" if len(satellites) == 1 else "satellites"
    return f"{noun} {', '.join(map(str, satellites[:most]))}{more}"
