"""Processes: what they have cost."""

import os
from pathlib import Path

from tests.chaos.servers import family

_TICKS = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = 13, 17  # of /proc/PID/stat: user, system, and both of the children that ended


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process, its children and theirs have used."""
    return sum(map(_cpu_of_one, family(pid)))


def _cpu_of_one(pid: int) -> float:
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The name of the program comes second, in parentheses, and may hold spaces.
    fields = said.rpartition(")")[2].split()
    return sum(map(int, fields[_UTIME - 2 : _CSTIME - 1])) / _TICKS
