"""Pages that stand alone: one file, everything in it, nothing asked of a network.

A page is a template of `assets/` with style (`dlrc/report/web/style.css`, that of all pages about runs and
studies), scripts and data put in. Charts are drawn by Observable Plot on D3 (`assets/vendor`, unmodified
releases). The page forbids itself any foreign source by its own content
security policy; `connect-src 'self'` lets a served page ask its own server whether it has changed."""

from __future__ import annotations

import html
import re
from functools import cache
from pathlib import Path
from typing import Any

from constellation.show.html import script_safe

ASSETS = Path(__file__).resolve().parent / "assets"
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")


def page(template: str, title: str, data: Any, scripts: tuple[str, ...], charts: bool = True) -> str:
    """The whole page. template and scripts: names of files in `assets`; title: plain text."""
    parts = {
        "%TITLE%": html.escape(title),
        "%STYLE%": asset("../../web/style.css"),
        "%LIBRARIES%": "\n".join(f"<script>{asset(name)}</script>" for name in LIBRARIES if charts),
        "%DATA%": script_safe(data),
        "%SCRIPT%": "\n".join(asset(name) for name in scripts),
    }
    pattern = "|".join(map(re.escape, parts))
    return re.sub(pattern, lambda match: parts[match[0]], asset(template))  # what is put in is never searched


@cache
def asset(name: str) -> str:
    """The text of a file, by its path from `assets`."""
    return (ASSETS / name).read_text(encoding="utf-8")
