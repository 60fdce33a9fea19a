# SPDX-License-Identifier: Apache-2.0
"""Yosys passes, by the library of the pyosys package."""

import subprocess
import sys


def yosys(commands: list[str]) -> str:
    """Run Yosys passes in a process of their own (a failing pass ends its process).

    Returns the log; RuntimeError with its end if a pass fails.
    """
    program = (
        "import sys; from pyosys import libyosys as ys; design = ys.Design()\n"
        "for command in sys.argv[1:]: ys.run_pass(command, design)\n"
        "print('yosys: done')"
    )
    done = subprocess.run([sys.executable, "-c", program, *commands], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or "yosys: done" not in done.stdout:
        raise RuntimeError(f"Yosys failed (exit {done.returncode}):\n{done.stdout[-2000:]}")
    return done.stdout
