# SPDX-License-Identifier: Apache-2.0
"""Macros of memories, as a timing library.

No memory compiler is part of this project: a macro has no area here, and `SETUP` and `ACCESS` are
assumed. They are what a core needs of its memories to have the clock that is reported.
"""

PREFIX = "tetra_memory_"
SETUP, ACCESS = 0.1, 0.3  # nanoseconds before the clock edge, and from it to what is read
LOAD, SLEW = 2.0, 0.05  # femtofarads of every input, nanoseconds of what is read
ASSUMED = (f"a core's memories macros with {1000 * SETUP:.0f} ps of setup and "
           f"{1000 * ACCESS:.0f} ps from clock to data (assumed), whose area is not counted")


def liberty(macros: dict[str, dict[str, tuple[str, int]]]) -> str:
    """A library of these macros: of each its ports, and of a port its direction and width."""
    widths = sorted({width for ports in macros.values() for _, width in ports.values()})
    types = "".join(
        f"  type(bits_{width}) {{ base_type : array; data_type : bit; bit_width : {width}; "
        f"bit_from : {width - 1}; bit_to : 0; downto : true; }}\n" for width in widths)
    cells = "".join(
        f"  cell({name}) {{\n    area : 0; is_macro_cell : true;\n"
        + "".join(_port(port, *about) for port, about in ports.items()) + "  }\n"
        for name, ports in sorted(macros.items()))
    return f"library(memories) {{\n{_HEAD}{types}{cells}}}\n"


def _port(name: str, direction: str, width: int) -> str:
    if name == "clk":
        return f"    pin(clk) {{ direction : input; clock : true; capacitance : {LOAD}; }}\n"

    def arc(kind: str, values: dict[str, float]) -> str:
        tables = " ".join(f'{table}(scalar) {{ values("{value}"); }}'
                          for table, value in values.items())
        return f'timing() {{ related_pin : "clk"; timing_type : {kind}; {tables} }}'

    if direction == "output":
        about = arc("rising_edge", {"cell_rise": ACCESS, "cell_fall": ACCESS,
                                    "rise_transition": SLEW, "fall_transition": SLEW})
    else:
        about = f"capacitance : {LOAD}; " + arc("setup_rising", {
            "rise_constraint": SETUP, "fall_constraint": SETUP})
    return (f"    bus({name}) {{ bus_type : bits_{width}; direction : {direction}; {about} }}\n"
            if width > 1 else f"    pin({name}) {{ direction : {direction}; {about} }}\n")


_HEAD = """  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V";
  current_unit : "1mA"; pulling_resistance_unit : "1kohm"; leakage_power_unit : "1nW";
  capacitive_load_unit(1, ff); nom_process : 1; nom_voltage : 1.1; nom_temperature : 25;
  slew_lower_threshold_pct_rise : 30; slew_upper_threshold_pct_rise : 70;
  slew_lower_threshold_pct_fall : 30; slew_upper_threshold_pct_fall : 70;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
"""
