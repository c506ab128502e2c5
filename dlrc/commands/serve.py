"""A local page server: the list of runs, and each run's page, which follows a run that is being flown.

Python's own `http.server`, bound to 127.0.0.1: nobody on the network can reach it. It answers GET and HEAD
for files below one folder, to requests that name this machine (so no foreign page can read runs through the
reader's browser), and leads a run's name to its unfinished folder while it is flown."""

from __future__ import annotations

import http.server
import urllib.parse
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from pydantic import Field

from constellation.common.cli import Command, Given, main_of
from constellation.common.errors import UserError
from constellation.common.knobs import Knobs
from constellation.common.progress import note
from dlrc.report.page.several import NAME, shelf_page
from dlrc.store.shelf import listed

HOST = "127.0.0.1"
TYPES = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8", ".parquet": "application/vnd.apache.parquet", ".png": "image/png",
    ".yaml": "text/plain; charset=utf-8",
}  # fmt: skip


class ServeKeys(Knobs):
    """Keys of this command."""

    output: str = "runs"
    """folder that runs are written below"""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """of this machine alone; 0: any free one"""


class Pages(http.server.BaseHTTPRequestHandler):
    """Files below a folder of runs; its own list of them is made anew for every reader."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments, output: Path) -> None:
        self._output = output
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def _answer(self, body: bool) -> None:
        port = self.connection.getsockname()[1]
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return self._say(HTTPStatus.FORBIDDEN, b"this server answers for 127.0.0.1 alone\n", body)
        asked = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if asked in ("/", "/" + NAME):
            page = shelf_page(listed(self._output)).encode()
            return self._say(HTTPStatus.OK, page, body, TYPES[".html"])
        file = found(self._output, asked)
        if file is None:
            return self._say(HTTPStatus.NOT_FOUND, b"no such file\n", body)
        if file.is_dir():
            self.send_response(HTTPStatus.MOVED_PERMANENTLY)
            self.send_header("Location", urllib.parse.quote(asked) + "/")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        try:
            data = file.read_bytes()
        except OSError:  # renamed meanwhile: the reader asks again
            return self._say(HTTPStatus.NOT_FOUND, b"no such file\n", body)
        self._say(HTTPStatus.OK, data, body, TYPES.get(file.suffix, "application/octet-stream"))

    def _say(
        self, status: HTTPStatus, data: bytes, body: bool, kind: str = "text/plain; charset=utf-8"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hash(data) & (1 << 64) - 1:016x}"')
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a reader's requests are no news."""


def found(output: Path, asked: str) -> Path | None:
    """The file, or the folder that lacks its last stroke, that a path names below `output`; never anything
    outside it, nor what begins with a dot. A run's name stands for its unfinished folder too."""
    parts = [part for part in asked.split("/") if part]
    if any(part.startswith(".") or "\0" in part or "\\" in part for part in parts) or not parts:
        return None
    root = output.resolve()
    for first in (parts[0], parts[0] + ".part", parts[0].removesuffix(".part")):
        place = root.joinpath(first, *parts[1:])
        if place.is_dir() and (asked.endswith("/") or len(parts) > 1):
            place = place / NAME
        if place.exists() and root in place.resolve().parents and (place.is_file() or place.is_dir()):
            return place
    return None


def server(output: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server that is bound, and not yet running. Raises `UserError` for a port in use."""
    if not output.is_dir():
        raise UserError(f"output={output}: no such folder")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), partial(Pages, output=output))
    except OSError as error:
        raise UserError(f"port={port}: {error.strerror}; port=0 takes any free one") from None


def serve(given: Given) -> None:
    """Serve until Ctrl-C."""
    with server(Path(given.own.output), given.own.port) as pages:
        print(f"http://{HOST}:{pages.server_address[1]}/  (Ctrl-C ends it)", flush=True)
        try:
            pages.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            note("ended")


COMMAND = Command(
    name="serve",
    about=__doc__ or "",
    own=ServeKeys,
    work=serve,
    examples=("dlrc serve", "dlrc serve output=/data/runs port=0"),
)

if __name__ == "__main__":
    main_of(COMMAND)
