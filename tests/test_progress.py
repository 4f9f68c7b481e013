"""Progress where stderr is no terminal, and lines above a bar where it is one."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from imagefec import progress as progress_module
from imagefec.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """The clock of the module; a test sets its seconds."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(progress_module, "time", found)
    return found


def test_a_line_comes_every_ten_seconds_and_at_the_end(clock, capsys):
    with progress("work", 8, "faces") as bar:
        for n in range(8):
            clock.now += 4
            bar.update(1)
            if n == 6:
                bar.set_postfix(lost=2)
    assert capsys.readouterr().err.splitlines() == [
        "work: 3 of 8 faces in 12.0 s",
        "work: 6 of 8 faces in 24.0 s",
        "work: 8 of 8 faces, lost 2 in 32.0 s",
    ]


def test_the_last_line_is_not_printed_twice(clock, capsys):
    with progress("work", 1, "faces") as bar:
        clock.now += 11
        bar.update(1)
    assert capsys.readouterr().err == "work: 1 of 1 faces in 11.0 s\n"
    with progress("nothing", unit="faces"):
        pass
    assert capsys.readouterr().err == "nothing: 0 faces in 0.0 s\n"


def test_what_is_said_has_a_line_of_its_own_above_a_bar():
    code = (
        "from imagefec.progress import progress, say\n"
        "with progress('work', 2, 'faces') as bar:\n"
        "    bar.update(1)\n"
        "    say('work', 'half')\n"
        "    bar.update(1)\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))  # rows, columns
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0 and "\rwork: half\r\n" in shown and "2/2" in shown
