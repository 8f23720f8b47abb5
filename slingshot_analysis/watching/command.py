"""Run a command of the user's at each event."""

from __future__ import annotations

import os
import subprocess
from collections import deque

from slingshot_analysis.watching.run import Event

MOST_WAITING = 100
"""Events that wait for the command to end; later ones are left out."""


class CommandRunner:
    """Runs a command at each event, one at a time, without waiting for it.

    The command is what the user wrote, and runs in the user's shell. The event stands in its environment alone, as
    ``SLINGSHOT_EVENT``, ``SLINGSHOT_RUN``, ``SLINGSHOT_FILE``, ``SLINGSHOT_STEP``, ``SLINGSHOT_SEEN`` and
    ``SLINGSHOT_MESSAGE``: nothing that a log holds becomes part of the command.

    Parameters
    ----------
    command : str
        Such as ``'notify-send "$SLINGSHOT_MESSAGE"'``.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self._running: subprocess.Popen[bytes] | None = None

    def add(self, event: Event) -> None:
        """Run the command for an event, after those for earlier ones."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(event)

    def poll(self) -> int | None:
        """Start the next command if none runs; return the exit status of one that has failed."""
        status = None
        if self._running is not None:
            status = self._running.poll()
            if status is None:
                return None
            self._running = None
        if self._waiting:
            self._running = subprocess.Popen(
                self._command,
                shell=True,
                stdin=subprocess.DEVNULL,
                env=os.environ | _variables(self._waiting.popleft()),
            )
        return status or None

    def finish(self) -> int | None:
        """Run what waits to its end; return the exit status of the last command that has failed."""
        failed = None
        while self._running is not None or self._waiting:
            if self._running is not None:
                self._running.wait()
            failed = self.poll() or failed
        return failed


def _variables(event: Event) -> dict[str, str]:
    return {
        "SLINGSHOT_EVENT": event.kind,
        "SLINGSHOT_RUN": event.run,
        "SLINGSHOT_FILE": event.file.replace("\0", ""),
        "SLINGSHOT_STEP": str(event.step),
        "SLINGSHOT_SEEN": str(event.seen),
        "SLINGSHOT_MESSAGE": f"{event.run}: {event.words}",
    }
