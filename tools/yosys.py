# SPDX-License-Identifier: Apache-2.0
"""Yosys passes, by the library of the pyosys package."""

import subprocess
import sys

CHOICES = "choices"  # a pass of ours: makes each $pmux a chain of $mux cells
_CHOICES = """
def choices(design):
    for module in dict(design.modules_).values():
        for cell in list(dict(module.cells_).values()):
            if str(cell.type) == '$pmux':
                other, values, selects, result = (
                    cell.getPort(ys.IdString('\\\\' + name)) for name in 'ABSY')
                width, count = result.size(), selects.size()
                for i in reversed(range(count)):
                    name = f'$choice_{cell.name.str()[1:]}_{i}'
                    chosen = result if i == 0 else ys.SigSpec(
                        module.addWire(ys.IdString(name), width))
                    module.addMux(ys.IdString(name + '_mux'), other,
                                  values.extract(i * width, width), selects.extract(i, 1), chosen)
                    other = chosen
                module.remove(cell)
"""


def yosys(commands: list[str]) -> str:
    """Run Yosys passes, and `CHOICES`, in a process of their own (a failing pass ends its process).

    Returns the log; RuntimeError with its end if a pass fails.
    """
    program = (
        f"import sys; from pyosys import libyosys as ys; design = ys.Design()\n{_CHOICES}"
        "for command in sys.argv[1:]:\n"
        f"    choices(design) if command == '{CHOICES}' else ys.run_pass(command, design)\n"
        "print('yosys: done')"
    )
    done = subprocess.run([sys.executable, "-c", program, *commands], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or "yosys: done" not in done.stdout:
        raise RuntimeError(f"Yosys failed (exit {done.returncode}):\n{done.stdout[-2000:]}")
    return done.stdout
