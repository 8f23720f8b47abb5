"""The live page: a small server on this machine alone, which sends each state to the pages that are open."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.watching.curve import GrowingCurve
from slingshot_analysis.watching.run import RunState

HOST = "127.0.0.1"
FILES = {
    "/": ("index.html", "text/html"),
    "/watch.js": ("watch.js", "text/javascript"),
    "/watch.css": ("watch.css", "text/css"),
}
FOLDER = Path(__file__).with_name("page_files")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
"""The page loads nothing from anywhere else, and no text of a log can run in it."""
HEARTBEAT_SECONDS = 10.0
"""Seconds after which a silent connection is tried, to find out whether the page is still open."""


class LivePage:
    """Serves the page at `url` until it is closed.

    Parameters
    ----------
    port : int, optional
        Port on 127.0.0.1; 0 takes one that is free.

    Raises
    ------
    InputError
        If the port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        self._news = threading.Condition()
        self._messages: dict[str, tuple[int, str]] = {}
        self._version = 0
        self._over = False
        self._told = threading.Event()
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler_of(self))
        except OSError as error:
            raise InputError(f"port={port}: can't be used ({error.strerror}); give another one, or none") from error
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}/"
        self.hosts = {f"{name}:{self._server.server_port}" for name in (HOST, "localhost")}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, states: Sequence[RunState]) -> None:
        """Send the states that have changed to all open pages."""
        with self._news:
            for place, state in enumerate(states):
                key = f"{state.file}\n{state.run}"
                text = json.dumps(_plain(state) | {"place": place}, allow_nan=False)
                if self._messages.get(key, (0, ""))[1] != text:
                    self._version += 1
                    self._messages[key] = self._version, text
            self._news.notify_all()

    def finish(self) -> None:
        """Tell all open pages, and those that are opened later, that every run has ended."""
        with self._news:
            self._over = True
            self._news.notify_all()

    def wait_until_seen(self) -> None:
        """Wait until a page has got the last state."""
        while not self._told.wait(0.5):
            pass

    def close(self) -> None:
        """Stop serving."""
        self.finish()
        self._server.shutdown()
        self._server.server_close()

    def stream(self, send: Any) -> None:
        """Pass on every message as it comes, until all runs have ended or sending fails.

        Parameters
        ----------
        send : callable
            Takes the text of a server-sent event.
        """
        known = 0
        while True:
            with self._news:
                new = [(version, text) for version, text in self._messages.values() if version > known]
                if not new and not self._over:
                    self._news.wait(HEARTBEAT_SECONDS)
                    new = [(version, text) for version, text in self._messages.values() if version > known]
                over = self._over
            for version, text in sorted(new):
                send(f"data: {text}\n\n")
                known = max(known, version)
            if over and not new:
                send("event: over\ndata: {}\n\n")
                self._told.set()
                return
            if not new:
                send(": still here\n\n")


def _handler_of(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Host") not in page.hosts:  # another site's name that was made to point here
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path == "/events":
                self._begin("text/event-stream")
                try:
                    page.stream(self._send)
                except OSError:  # the page was closed
                    self.close_connection = True
            elif self.path in FILES:
                name, kind = FILES[self.path]
                self._begin(kind)
                self._send((FOLDER / name).read_text(encoding="utf-8"))
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing about requests."""

        def _begin(self, kind: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()

        def _send(self, text: str) -> None:
            self.wfile.write(text.encode())
            self.wfile.flush()

    return Handler


def _plain(state: RunState) -> dict[str, Any]:
    """Return what the page shows of a run, as JSON can hold it."""
    return {
        "run": state.run,
        "file": state.file,
        "step": state.step,
        "steps": state.steps,
        "pace": state.pace and float(f"{state.pace:.3g}"),
        "secondsLeft": state.seconds_left and round(state.seconds_left),
        "ended": state.ended,
        "phase": state.phase,
        "facts": state.facts,
        "slingshots": state.slingshots,
        "transitions": state.transitions,
        "phases": state.phases,
        "curves": [
            {"name": name.replace("_", " "), "logarithmic": logarithmic, **_curve(curve)}
            for name, curve, logarithmic in ((state.norm_name, state.norm, False), (state.loss_name, state.loss, True))
            if name
        ],
    }


def _curve(curve: GrowingCurve) -> dict[str, Any]:
    return {
        "step": curve.steps.tolist(),
        "low": [float(f"{value:.6g}") for value in curve.low],
        "high": [float(f"{value:.6g}") for value in curve.high],
        "last": float(f"{curve.last:.4g}") if np.isfinite(curve.last) else None,
    }
