"""Pages that stand alone: one file, everything in it, nothing asked of a network.

A page is a template of `assets/` with styles, scripts and data put in. Charts are drawn by Observable Plot on
D3 (`assets/vendor`, unmodified releases). The page forbids itself any foreign source by its own content
security policy; `connect-src 'self'` lets a served page ask its own server whether it has changed."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parent / "assets"
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")


def page(template: str, title: str, data: Any, scripts: tuple[str, ...], charts: bool = True) -> str:
    """The whole page. template and scripts: names of files in `assets`; title: plain text."""
    parts = {
        "%TITLE%": html.escape(title),
        "%STYLE%": asset("style.css"),
        "%LIBRARIES%": "\n".join(f"<script>{asset(name)}</script>" for name in LIBRARIES if charts),
        "%DATA%": script_safe(data),
        "%SCRIPT%": "\n".join(asset(name) for name in scripts),
    }
    pattern = "|".join(map(re.escape, parts))
    return re.sub(pattern, lambda match: parts[match[0]], asset(template))  # what is put in is never searched


@cache
def asset(name: str) -> str:
    """The text of a file of `assets`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def script_safe(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever things are called."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
