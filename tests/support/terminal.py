"""A terminal of a given width, as a program sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

PULLET = str(Path(sys.executable).with_name("pullet"))
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The installed `pullet` in a terminal; what it writes is `text`, with its escape codes."""

    def __init__(self, *args: str, columns: int, env: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        given = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "RAY_ADDRESS")}
        given |= {"TERM": "xterm-256color", **env}
        self._process = subprocess.Popen(
            [PULLET, *args], stdin=theirs, stdout=theirs, stderr=theirs, env=given, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, condition: Callable[[str], bool], timeout_s: float = 30.0) -> None:
        """Read until the condition holds for all that was written; fails when that does not happen in time."""
        deadline = time.monotonic() + timeout_s
        while not condition(self.text):
            assert time.monotonic() < deadline, f"not seen within {timeout_s} s in: {self.text!r}"
            assert self._read(), f"the program ended: {self.text!r}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read the rest; returns the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(30)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 1.0)
        if not ready:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """What is to be read, without colours and other codes."""
        return _CODES.sub("", self.text).replace("\r", "").split("\n")
