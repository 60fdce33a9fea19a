# SPDX-License-Identifier: Apache-2.0
"""Static timing with OpenSTA: ideal clock, the library's wire load, a stated driver and load."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from synth.cells.libraries import CellLibrary, MissingError
from synth.cells.memories import ASSUMED

PERIOD = 10.0  # nanoseconds; any one does, since the slack is what counts
SCRIPT = r"""read_liberty {liberty}
{memories}{read}
link_design {top}
{wires}create_clock -name clock -period {period}{pins}
set inputs {{}}
foreach port [all_inputs] {{
  if {{[get_property $port full_name] ne "clk"}} {{ lappend inputs $port }}
}}
if {{[llength $inputs]}} {{
  set_input_delay 0 -clock clock $inputs
  set_driving_cell -lib_cell {driver} $inputs
}}
set_output_delay 0 -clock clock [all_outputs]
set_load {load} [all_outputs]
puts "inputs: [llength $inputs]"
with_output_to_variable found {{ check_setup -verbose -no_clock -unconstrained_endpoints }}
puts $found
foreach port [all_outputs] {{ report_constant $port }}
foreach pin [regexp -all -inline {{\S+/\S+}} $found] {{
  puts -nonewline "$pin "
  report_constant [get_pins $pin]
}}
report_checks -path_delay max -digits 4 -fields {{slew cap}}
exit
"""


@cache
def tool() -> str:
    """The program; MissingError that says how to install it."""
    found = shutil.which("sta")
    if not found:
        raise MissingError("OpenSTA (sta): not installed; apt install opensta")
    return found


@cache
def version() -> str:
    return subprocess.run([tool(), "-version"], capture_output=True, text=True).stdout.strip()


def assumptions(library: CellLibrary) -> str:
    """What a period holds for; MissingError without the library."""
    wires = (f"wires as the library estimates them by fanout ({library.wire_load})"
             if library.wire_load else "no wires (the library estimates none)")
    return (f"ideal clock (clock gates too), {wires}, inputs at the clock edge from the library's "
            f"driver, outputs loaded with four inverters, typical corner, {ASSUMED}")


def depends_on(library: CellLibrary, memories: str = "") -> tuple[str, ...]:
    """All that a period depends on but the netlists: part of what names a cached one."""
    return (version(), SCRIPT.replace("{memories}", ""), str(PERIOD), library.digest,
            library.driver, repr(library.load), repr(library.load_unit), *filter(None, [memories]))


def shortest_period(netlists: list[Path], top: str, library: CellLibrary, clocked: bool,
                    work: Path, wires: Path | None = None, memories: str = "") -> float:
    """Nanoseconds from clock edge to clock edge that the slowest path of `top` needs.

    `wires` : a SPEF file whose nets have the wires that it says, and no wire load. `memories` : a
    liberty file's text, of the macros in the netlists.

    The script and the report of that path are left in `work` as sta.tcl and sta.log. Without a
    clock the longest path from an input to an output counts. RuntimeError with the tool's words if
    it reports no path, or anything that it could not read. What is constant has no path.
    """
    if memories:
        (work / "memories.lib").write_text(memories)
    script = SCRIPT.format(
        liberty=library.path,
        memories=f"read_liberty {work}/memories.lib\n" if memories else "",
        read="\n".join(f"read_verilog {path}" for path in netlists), top=top,
        wires=f"read_spef {wires}\n" if wires else "", period=PERIOD,
        pins=" [get_ports clk]" if clocked else "", driver=library.driver,
        load=f"{library.load / library.load_unit:g}")
    (work / "sta.tcl").write_text(script)
    done = subprocess.run([tool(), "-no_init", "-exit", str(work / "sta.tcl")], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    (work / "sta.log").write_text(done.stdout)
    slack = re.search(r"^\s*(-?[\d.]+)\s+slack", done.stdout, re.M)
    trouble = re.search(r"^(?:Error|Warning).*$", _without_constants(done.stdout), re.M)
    if not slack or trouble:
        raise RuntimeError(f"OpenSTA: {trouble[0] if trouble else 'no path found'}\n"
                           f"{done.stdout[-2000:]}")
    return PERIOD - float(slack[1])


def _without_constants(text: str) -> str:
    """The report, less its warning of endpoints without a path if they are constant."""
    constants = set(re.findall(r"^(\S+)(?: \S+)? [01]$", text, re.M))
    warning = re.search(r"^Warning: There (?:is|are) \d+ unconstrained endpoints?\.\n"
                        r"((?:  \S+\n)+)", text, re.M)
    if warning and set(warning[1].split()) <= constants:
        return text.replace(warning[0], "")
    return text
