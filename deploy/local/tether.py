"""Run a command that dies with its parent: ``python -IS tether.py PARENT_PID COMMAND [ARGUMENT ...]``.

A supervisor killed with SIGKILL cannot stop its children. So each child asks the Linux kernel to kill it when its
parent is gone (``PR_SET_PDEATHSIG``) and then becomes the command: same pid, nothing left in between. This is a
program of its own because the usual way, a ``preexec_fn``, is unsafe in a process with threads.

Elsewhere than on Linux the command simply runs; `sada down` finds what a killed supervisor left.

References
----------
prctl(2). The signal comes when the *thread* that made the child ends: start children from the main thread.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - 5 ms that other systems need not spend

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            sys.exit("the parent ended before this process was tied to it")
    os.execvp(command[0], command)  # noqa: S606 - the command of our own process table


if __name__ == "__main__":
    main(sys.argv[1:])
