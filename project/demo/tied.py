"""Tie a process to the one that starts it, then become the command in the arguments.

The demo ends its processes on every way out. This covers the one way that it cannot: being killed with
SIGKILL. Only Linux has such a tie; elsewhere the command is simply run.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>

if __name__ == "__main__":
    starter, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(starter):  # it ended before the tie held
            sys.exit("The process that started this one is gone.")
    os.execv(command[0], command)  # noqa: S606 - becoming the command is the point; no shell is wanted
