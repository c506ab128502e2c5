"""The page of `dlrc study sync`: how long an exchange takes over a day, where the time goes, whether a codec
hides it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from constellation.sync.parts import NAMES
from dlrc.report.web.shell import Page, Section, cards, cell, escape, figure, number, select, table
from dlrc.studies.lab.sync_day import Day, Hiding, Variant, share_of
from dlrc.studies.lab.sync_files import FILES, Story, as_data

_HERE = Path(__file__).resolve().parent


def page_of(story: Story) -> Page:
    """The page before it is text."""
    day, setting = story.day, story.day.setting
    title = f"How long {setting.satellites} satellites take to hear each other"
    hours = day.times_s[-1] / 3600 * len(day.times_s) / max(1, len(day.times_s) - 1)
    about = f"{setting.label}; {len(day.times_s)} instants over {hours:.3g} h; {_name(day.variants[0])}"
    sections = (
        Section("answers", "In short", cards(_answers(story)) + _warning(day)),
        Section("day", "Over the day", _over_the_day(day)),
        Section("parts", "Where the time goes", _where(day)),
        Section("hides", "Does it hide behind entropy modelling?", _hides(story)),
        Section("all", "Every network and collective", _all(day)),
        Section("how", "How this was made", _how(story)),
    )
    return Page(title, about, sections, as_data(story), (_HERE / "sync.js").read_text(encoding="utf-8"))


def _answers(story: Story) -> Iterator[tuple[str, str, str]]:
    day = story.day
    lists = [p for p, one in enumerate(day.payloads) if one.kind == "signatures"]
    streams = [p for p, one in enumerate(day.payloads) if one.kind == "streams"]
    for p in dict.fromkeys([*lists[:1], *lists[-1:], *streams]):
        t_ms, unheard = 1e3 * day.t_round_s[0, p], share_of(day.unheard[0, p])
        worst = number(float(np.nanmax(t_ms)), 1, "ms") if np.isfinite(t_ms).any() else "undefined"
        yield (
            f"one exchange of {day.payloads[p].label}",
            number(share_of(t_ms), 1, "ms"),
            f"mean; at worst {worst}; {number(100 * unheard, 1, '%')} of pairs unheard",
        )
    if lists:
        means = [share_of(day.parts_s[0, lists[0], :, n]) for n in range(len(NAMES))]
        total = sum(means)
        if math.isfinite(total) and total > 0:
            most = int(np.argmax(means))
            yield (
                f"most of {day.payloads[lists[0]].label}",
                NAMES[most],
                f"{number(100 * means[most] / total, 0, '%')} of the time; propagation "
                f"{number(100 * means[0] / total, 0, '%')}",
            )
    if story.hidings:
        whole = [one for one in story.hidings if one.overlap == "modelling"]
        hidden = sum(one.share == 1.0 for one in whole)
        unknown = sum(not math.isfinite(one.share) for one in whole)
        yield (
            "hidden behind entropy modelling",
            f"{hidden} of {len(whole)}",
            "pairs of codec and payload, at every instant" + (f"; {unknown} undefined" if unknown else ""),
        )


def _warning(day: Day) -> str:
    silent = np.isnan(day.t_round_s[0, 0])
    if not silent.any():
        return ""
    return (
        f'<p class="notice">At {int(silent.sum())} of {len(silent)} instants nobody hears anybody: times '
        "there are undefined, and no mean counts them.</p>"
    )


def _payloads(day: Day, name: str) -> str:
    options = [(str(p), f"{one.label}, {one.patch_px:.0f} px patch") for p, one in enumerate(day.payloads)]
    return select(name, "payload", options)


def _over_the_day(day: Day) -> str:
    sets = [
        ("networks", "noise formula and link rule"),
        ("schedules", "collective"),
        ("contentions", "contention"),
    ]
    controls = f'<p class="row">{_payloads(day, "payload")}{select("set", "compare", sets)}</p>'
    times = (
        "T_round, until the last satellite has heard the last other one. A gap: undefined, nobody is heard."
    )
    unheard = "Share of ordered pairs of participants that no path joins; no time counts them."
    return figure("overday", times, controls) + figure("overday_unheard", unheard)


def _where(day: Day) -> str:
    own = figure(
        "bypayload",
        "The scenario's own network, mean over the day, by payload. Control: fixed before every exchange. "
        "Waiting: for a transmitter, or for the share of a link that others use.",
    )
    each = figure("byvariant", "The same for the payload and the set chosen above.")
    options = [(str(v), _name(one)) for v, one in enumerate(day.variants)]
    over = figure(
        "partsday",
        "Of the longest chain of transfers, at every instant.",
        f'<p class="row">{select("variant", "over the day, in", options)}</p>',
    )
    return f'<div class="two">{own}{each}</div>{over}'


def _name(one: Variant) -> str:
    return f"rule {one.rule}, noise {one.noise}, {one.schedule}, {one.contention}"


_INTRODUCED = """<p>An exchange costs a round nothing where it ends before the entropy modelling that runs
beside it. On a fixed grid all of the modelling needs no other satellite; else the hyperprior alone.</p>"""
_STREAMS = """<p>Streams for cross-view coding are no row here: an independent stream exists only once its own
modelling and coding are done, so nothing of it is left to hide the exchange behind.</p>"""
_ABSENT = """<p>The codecs are not installed here, so their times are unknown: pip install 'dlrc[codec]'
brings them.</p>"""
_BESIDE = {"modelling": "all of it", "hyperprior": "hyperprior alone"}


def _hides(story: Story) -> str:
    day = story.day
    lists = [p for p, one in enumerate(day.payloads) if one.kind == "signatures"]
    if not story.hidings:
        return _ABSENT
    codecs = dict.fromkeys(one.codec for one in story.hidings)
    found = {(one.codec, one.overlap, one.payload): one for one in story.hidings}
    rows = [
        [cell(codec, "head"), cell(said), *(_verdict(day, found[codec, overlap, p]) for p in lists)]
        for codec in codecs
        for overlap, said in _BESIDE.items()
    ]
    sizes = [f"{day.payloads[p].label}, {day.payloads[p].patch_px:.0f} px" for p in lists]
    controls = (
        f'<p class="row">{select("codec", "codec", [(name, name) for name in codecs])}'
        + select("hidden", "payload", [(str(p), day.payloads[p].label) for p in lists])
        + select("overlap", "runs beside", list(_BESIDE.items()))
        + "</p>"
    )
    verdicts = "at which instants it is hidden; in brackets the modelling that runs beside it"
    chart = "T_round against the modelling beside it. Marked: instants that are not hidden."
    instants = "instants at which the exchange is not hidden, or undefined"
    return (
        _INTRODUCED
        + table("verdicts", ["codec", "runs beside", *sizes], rows, verdicts)
        + _STREAMS
        + figure("hidechart", chart, controls)
        + '<p class="row"><b id="instants_say"></b><button id="instants_csv">CSV of these</button></p>'
        + table("instants", ["UTC", "T_round", "modelling", "sticks out by"], [], instants)
    )


def _verdict(day: Day, one: Hiding) -> str:
    if not math.isfinite(one.share):
        return cell("undefined", "undefined", math.nan)
    unheard = share_of(day.unheard[0, one.payload])
    if unheard > 0:  # who is not heard costs no time, and so hides nothing
        return cell(f"{100 * one.share:.0f} %, but {100 * unheard:.0f} % of pairs unheard", "bad", one.share)
    kind = "good" if one.share == 1 else "bad"
    said = {1.0: "hidden", 0.0: "never"}.get(one.share, f"{100 * one.share:.0f} %")
    return cell(f"{said} ({1e3 * one.beside_s:.1f} ms)", kind, one.share)


def _all(day: Day) -> str:
    rows = []
    for v, variant in enumerate(day.variants):
        cells = [cell(text, "head" if n == 1 else "") for n, text in enumerate(asdict(variant).values())]
        for p in range(len(day.payloads)):
            t_ms = 1e3 * day.t_round_s[v, p]
            known = bool(np.isfinite(t_ms).any())
            text = f"{share_of(t_ms):.1f} / {np.nanmax(t_ms):.1f}" if known else "undefined"
            cells.append(cell(text, "" if known else "undefined", share_of(t_ms)))
        unheard = share_of(day.unheard[v].max(axis=0))
        rows.append([*cells, cell(number(100 * unheard, 1, "%"), "bad" if unheard > 0 else "", unheard)])
    head = ["noise", "rule", "schedule", "contention", *(one.label for one in day.payloads), "pairs unheard"]
    caption = "T_round mean / maximum over the day, ms; the first line is the scenario's own"
    return table("variants", head, rows, caption)


def _how(story: Story) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in story.about)
    return (
        f"<p class='command'><code>{escape(story.command)}</code></p><dl class='facts'>{facts}"
        f"<dt>compute times</dt><dd>{escape(story.source or 'none')}</dd></dl>"
        "<p>T_round is that of appendix A of the paper: the worst T_sync, which is the time until a "
        "satellite has sent and heard everything, and t_ctrl. Modelling grows with the patch's area (an "
        f"estimate). Files beside this page: {', '.join(FILES)}.</p>"
        '<p class="row"><button id="day_json">Data of this page, JSON</button></p>'
    )
