"""Table, rows and picture of the delivery study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from constellation.common.files import replacing
from constellation.scenario.scenario import Scenario
from constellation.sync.series import constellation_label
from dlrc.studies.questions.delivery_files import Delivered, DeliveryKeys

MB = 1e6


def rows(delivered: Sequence[Delivered]) -> list[dict[str, Any]]:
    """The table in plain numbers; None where something never happens."""
    return [
        {
            "kept_by": one.kept_by,
            "coding": one.coding,
            "order": one.account.order,
            "first_usable_s": _number(one.account.first_usable_s),
            "mean_usable_s": _number(one.account.mean_usable_s),
            "all_usable_s": _number(one.account.all_usable_s),
            "usable": one.account.usable,
            "pictures": len(one.account.fates),
            "file_bytes": sum(fate.file.size_bytes for fate in one.account.fates),
            "sent_first_bytes": sum(fate.first for fate in one.account.fates),
            "sent_again_bytes": sum(fate.again for fate in one.account.fates),
            "received_bytes": sum(fate.fresh + fate.twice for fate in one.account.fates),
            "received_twice_bytes": sum(fate.twice for fate in one.account.fates),
            "lost_bytes": sum(fate.lost for fate in one.account.fates),
            "control_bytes": one.account.control_sent,
            "dropped": sum(fate.dropped for fate in one.account.fates),
            "dropped_bytes": one.account.dropped_bytes,
            "left_bytes": one.account.left_bytes,
            "stored_bytes": one.account.stored_bytes,
            "contacts": one.account.contacts,
            "handovers": one.account.handovers,
            "adds_up": not one.account.faults,
        }
        for one in delivered
    ]


def file_rows(delivered: Sequence[Delivered]) -> list[dict[str, Any]]:
    """A line for each file of each way."""
    return [
        {
            "kept_by": one.kept_by,
            "coding": one.coding,
            "order": one.account.order,
            "round": fate.file.round,
            "satellite": fate.file.owner,
            "constellation_index": fate.file.satellite,
            "bytes": fate.file.size_bytes,
            "ready_s": round(fate.file.ready_s, 3),
            "begun_s": _number(fate.begun_s),
            "complete_s": _number(fate.done_s),
            "usable_s": _number(fate.usable_s),
            "sent_first": fate.first,
            "sent_again": fate.again,
            "received": fate.fresh + fate.twice,
            "lost": fate.lost,
            "dropped": fate.dropped,
            "stations": "+".join(str(station) for station in fate.stations),
            "relayed_bytes": fate.relayed,
        }
        for one in delivered
        for fate in one.account.fates
    ]


def report(scenario: Scenario, own: DeliveryKeys, delivered: Sequence[Delivered]) -> str:
    """The printed account."""
    stations = ", ".join(
        f"{station.name} ({station.antennas or 'any number of'} antenna{'s' * (station.antennas != 1)})"
        for station in scenario.ground.each
    )
    sky = "clear sky" if own.weather == "clear" else f"rain by ITU-R P.618, {own.coding} rate"
    store = f"; {own.storage_mib:g} MiB on board, drop={own.drop}" if own.storage_mib else ""
    lines = [
        f"Delivery of {len(delivered[0].account.fates)} streams (x {own.tiles}) of {scenario.satellites} "
        f"satellites, {constellation_label(scenario.orbit)}",
        f"stations: {stations}; {sky}, {own.margin_db:g} dB margin, {own.unit_loss:g} of the units lost"
        + (", relayed over links" if own.relay == "links" else "")
        + store,
        "",
        "kept by    coding       queue      first h   mean h    all h   usable     sent MB  again MB"
        "   lost MB  dropped MB",
    ]
    for one in delivered:
        account = one.account
        sent = sum(fate.first for fate in account.fates)
        again, lost = (sum(getattr(fate, name) for fate in account.fates) for name in ("again", "lost"))
        usable = f"{account.usable}/{len(account.fates)}"
        lines.append(
            f"{one.kept_by[:10]:10} {one.coding:12} {account.order:9}{_hours(account.first_usable_s)}"
            f"{_hours(account.mean_usable_s)}{_hours(account.all_usable_s)} {usable:>8} "
            f"{sent / MB:11.2f} {again / MB:9.3f} {lost / MB:9.3f} {account.dropped_bytes / MB:11.2f}"
        )
    faults = [line for one in delivered for line in one.account.faults]
    control = max(one.account.control_sent for one in delivered)
    busiest = max(float(one.account.busy_s.max()) for one in delivered)
    lines.append(
        f"(busiest station carried data for {busiest:.0f} s; headers and answers "
        f"{control / MB:.2f} MB down; bytes sent = received + lost: "
        + ("adds up in every row)" if not faults else "DOES NOT ADD UP)")
    )
    return "\n".join([*lines, *(f"ACCOUNT: {line}" for line in faults[:8])])


def drawn(scenario: Scenario, own: DeliveryKeys, delivered: Sequence[Delivered], path: Path) -> None:
    """Pictures usable along time, a line a way."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    several = len({one.kept_by for one in delivered}) > 1
    for one in delivered:
        account = one.account
        times = np.sort([f.usable_s - account.begin_s for f in account.fates if np.isfinite(f.usable_s)])
        steps = np.concatenate([[0.0], times, [max(times[-1:], default=0.0)]]) / 3600
        share = 100 * np.concatenate([np.arange(len(times) + 1), [len(times)]]) / len(account.fates)
        label = f"{account.order}, {one.coding}" + (f", kept by {one.kept_by}" if several else "")
        style = "--" if one.coding == "independent" else "-"
        axes.step(steps, share, style, where="post", label=label)
    axes.set(
        xlabel="hours after the first stream was ready", ylabel="usable pictures, %", ylim=(0, 103),
        title=f"{scenario.name}: {len(delivered[0].account.fates)} streams (x {own.tiles}) over "
        f"{', '.join(station.name for station in scenario.ground.each)}",
    )  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _number(seconds: float) -> float | None:
    return round(float(seconds), 3) if np.isfinite(seconds) else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:9.3f}" if np.isfinite(seconds) else f"{'never':>9}"
