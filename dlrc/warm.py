"""Imported by the server from which a launch forks its ranks (`nodes/process/server.py`), and nowhere else:
all that a rank or the ground needs, once."""

from __future__ import annotations

from nodes.process.server import die_with_launcher, ready

die_with_launcher()

from dlrc.launch import import_everything  # noqa: E402

import_everything()
ready()
