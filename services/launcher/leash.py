"""Runs a program that dies when its parent does: `python leash.py PARENT_PID PROGRAM ARGUMENT...`

A file of its own, run without the package: it lives for milliseconds, before the program takes its place. Only Linux
has such a signal. Elsewhere a process that outlives a killed launcher is stopped by hand; its state file names it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: str, *command: str) -> None:
    if sys.platform == "linux":
        # SIGKILL, because a second mesh may be started at once on the same files.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("The launcher has ended.")
    os.execv(command[0], command)  # noqa: S606 - the launcher's own command, without a shell


if __name__ == "__main__":
    main(*sys.argv[1:])
