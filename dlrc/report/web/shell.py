"""A page in one file: style, charts and data are inside, and its own policy forbids it to ask for more.

Charts are drawn in the page by Observable Plot over D3 (ISC licence, unchanged); the look is that of the page
of a run. Text that comes from outside goes through `escape` or `cell`; data goes in as JSON
that cannot end its element."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from constellation.common.frozen import value
from constellation.show.html import script_safe

_HERE = Path(__file__).resolve().parent
_LIBRARIES = ("d3.min.js", "plot.umd.min.js")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
escape = html.escape


@value
class Section:
    """A part of a page. body: HTML."""

    name: str
    title: str
    body: str
    about: str = ""


@value
class Page:
    """A page before it is text. script: its own JavaScript, which finds `DATA` and what charts.js offers.
    data: goes in as JSON; numbers that are not finite become null, which charts leave out."""

    title: str
    about: str
    sections: tuple[Section, ...]
    data: dict[str, object]
    script: str


def rendered(page: Page) -> str:
    """The whole page."""
    links = "".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in page.sections)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{escape(page.title)}</title>",
            f"<style>{_read('style.css')}\n{_read('lab.css')}</style>\n</head>\n<body>",
            f'<header class="top"><div class="wide"><div><h1>{escape(page.title)}</h1>',
            f'<p class="dim lead">{escape(page.about)}</p></div>',
            '<button id="theme" aria-label="Light or dark">Dark</button></div></header>',
            f'<nav class="sections" aria-label="Parts of this page"><div class="wide">{links}</div></nav>',
            '<main class="wide">',
            *(_part(section) for section in page.sections),
            "</main>",
            *(f"<script>{_library(name)}</script>" for name in _LIBRARIES),
            f"<script>\nconst DATA = {script_safe(finite(page.data))};\n{_read('charts.js')}\n{page.script}",
            "started();\n</script>\n</body>\n</html>\n",
        ]
    )


def _part(section: Section) -> str:
    about = f'<p class="dim">{escape(section.about)}</p>' if section.about else ""
    return (
        f'<section id="{section.name}" aria-labelledby="h-{section.name}">'
        f'<h2 id="h-{section.name}">{escape(section.title)}</h2>{about}{section.body}</section>'
    )


def cards(shown: Iterable[tuple[str, str, str]]) -> str:
    """Figures to read first: what, its value, a line about it."""
    return (
        '<dl class="cards">'
        + "".join(
            f'<div class="card"><dt>{escape(what)}</dt><dd class="big">{escape(found)}</dd>'
            f"<dd><span>{escape(note)}</span></dd></div>"
            for what, found, note in shown
        )
        + "</dl>"
    )


def figure(name: str, caption: str, controls: str = "") -> str:
    """A place for a chart of the page's script, which is drawn into `name`."""
    return (
        f'<figure class="chart"><figcaption id="c-{name}">{escape(caption)}</figcaption>{controls}'
        f'<div class="plot" id="{name}"></div></figure>'
    )


def select(name: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """A choice, by (value, text); the first is taken."""
    inner = "".join(f'<option value="{escape(v)}">{escape(text)}</option>' for v, text in options)
    return f'<label>{escape(label)} <select id="{name}">{inner}</select></label>'


def table(name: str, head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table whose columns sort at a press on their head. rows: cells by `cell`."""
    heads = "".join(f'<th scope="col"><button class="sort">{escape(text)}</button></th>' for text in head)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table id="{name}">'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def cell(text: str, kind: str = "", key: float | None = None) -> str:
    """One cell. kind: good, bad, undefined, head, or nothing; key: what sorting goes by, in place of the
    text."""
    by = "" if key is None else f' data-key="{key if math.isfinite(key) else ""}"'
    if kind == "head":
        return f'<th scope="row"{by}>{escape(text)}</th>'
    return f'<td class="{kind}"{by}>{escape(text)}</td>' if kind else f"<td{by}>{escape(text)}</td>"


def number(figure: float, digits: int = 1, unit: str = "") -> str:
    """`12.3 ms`, or `undefined`: what nobody measured is no number."""
    return f"{figure:.{digits}f}{unit and ' ' + unit}" if math.isfinite(figure) else "undefined"


def finite(held: object) -> object:
    """The same with None in place of every float that is not finite; arrays by `tolist`."""
    if isinstance(held, float):
        return held if math.isfinite(held) else None
    if isinstance(held, Mapping):
        return {key: finite(part) for key, part in held.items()}
    if hasattr(held, "tolist"):
        return finite(held.tolist())  # type: ignore[attr-defined]
    return [finite(part) for part in held] if isinstance(held, (list, tuple)) else held


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _library(name: str) -> str:
    text = (_HERE.parent / "page" / "assets" / "vendor" / name).read_text(encoding="utf-8")
    assert "</script" not in text, f"{name} would end its element"
    return text
