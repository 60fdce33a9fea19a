# SPDX-License-Identifier: Apache-2.0
"""The checkers checked: a fault seeded into the Verilog of each block must turn its bench red."""

import re
import shutil
from typing import NamedTuple

import pytest

from golden.config import Config
from hdl.emit.verilog import verilog_file
from verif.bench.benches import BENCHES, BUSES, CORES, FPGA, ONE, SERIAL, SERIAL_LEAST, TINY
from verif.bench.runner import Settings, simulate


class Fault(NamedTuple):
    """What is wrong in a bench's design: a pattern in its Verilog, of which the first occurrence is
    replaced.

    `test` is the one of its bench that has to notice it; any, if there is none.
    """

    block: str
    what: str
    pattern: str
    replacement: str
    config: Config = TINY
    test: str | None = None


BUS = BUSES[2]  # a beat is four runs, and one item

FAULTS = (
    Fault("multiplier", "a position of a digit is lost", r"& \{4\{at\[9\]\}\}", "& 4'h0"),
    Fault("dot_product", "a carry-save adder's carry is an OR", r"\(a & b\)", "(a | b)"),
    Fault("mac_tile", "a block starts from the last one's sums", r"~control\[5:2\]", "4'hf"),
    Fault("mac_tile", "a sum that has wrapped is forgotten", r"accumulator\[21\] & goes_on\[3\]",
          "1'h0", Config(4, 2, 4, accumulator_width=20)),
    Fault("rescale", "ties go up", r"\| whole\[0\]", "| 1'h1"),
    Fault("rescale", "random words come from another round",
          r"\{x_0\[29:0\], x_0\[31:30\]\}", "{x_0[28:0], x_0[31:29]}"),
    Fault("rescale", "the lower half of a random word never decides",
          r"(assign \w*fine_here = )[^;]*;", r"\1 1'h0;"),
    Fault("rescale", "a serial unit's random words lack a round",
          r"(round_number <=\s+rst \? 4'hd :\s+take \? )4'h0", r"\g<1>4'h1", SERIAL),
    Fault("rescale", "stochastic integers go to the nearest", r"(assign carry = )kind_1\[5\]",
          r"\1 1'h0"),
    Fault("rescale", "levels always go down", r"(assign even_up =)[^;]*;", r"\1 1'h0;"),
    Fault("rescale", "an odd exponent is not normalised", r"(assign normalise_1 =)[^;]*;",
          r"\1 1'h0;"),
    Fault("rescale", "a shift that loses no top bits counts as one that does",
          r"(params_3\[8:3\] < )6'h10", r"\g<1>6'h11"),
    Fault("rescale", "a stage of the shifter forgets its lowest lost bit",
          r"\|shifted_8\[3:0\]", "|shifted_8[3:1]"),
    Fault("rescale", "the end of INT32 counts as beyond it",
          r": \((held\[\d+\]) \| word_sum\[31\]\)", r": \1"),
    Fault("rescale", "lost bits beyond the top level do not count as clamped",
          r"\| held\[\d+\](\) :\s+kind_1\[4\] & up_here)", r"| 1'h0\1"),
    Fault("rescale", "a magnitude that just exceeds any zero point counts as near",
          r"(far = \|whole\[32:)17\]", r"\g<1>18]", TINY, "directed_corners"),
    Fault("rescale", "lost bits do not decide beside the middle of a random word",
          r"(\{fraction\[12:0\], )sticky\}", r"\g<1>1'h0}", TINY,
          "corners_of_random_words"),
    Fault("statistics", "a carry-save adder's carry is an OR", r"\(a & b\)", "(a | b)"),
    Fault("statistics", "a job's sums start from the last one's", r"(sum_abs_cleared = ).*;",
          r"\1 1'h0;"),
    Fault("solver", "ties go up", r"\| multiplier\[0\]", "| 1'h1"),
    Fault("solver", "GRADSCALE of no elements is degenerate", r"& ~is_grad;", ";"),
    Fault("solver", "SAWB is never below the mean", r"= adder_fits & \(\|adder_total\);",
          "= 1'h0;"),
    Fault("solver", "UINT4 has the steps of INT4_SYM", r"8'haf << is_unsigned", "8'haf"),
    Fault("solver", "and where alpha is the largest", r"(= _\d+_) << is_unsigned;", r"\1;"),
    Fault("engine", "a block ends one beat late",
          r"(assign after_last = )after_left( == \d+)", r"\1step[12:0]\2"),
    Fault("engine", "a tensor's exponent acts the wrong way", r"\) - (\$signed\(entry)", r") + \1"),
    Fault("engine", "a job's rows repeat their random words after 64",
          r"(number = first \? 8'h00 : )following;", r"\g<1>{2'h0, following[5:0]};", ONE,
          "every_row_has_its_own_number"),
    Fault("engine", "GRADSCALE moves a frozen entry", r"~entry\[46\]", "1'h1", ONE,
          "a_frozen_entry_stays"),
    Fault("statistics", "a serial sum of squares is a bit too narrow",
          r"(assign sum_squares = \{)25'h0000000, squares\}", r"\g<1>26'h0, squares[68:0]}",
          SERIAL_LEAST),
    Fault("statistics", "a serial sum of magnitudes is a bit too narrow",
          r"(assign sum_abs = \{)25'h0000000, absolute\}", r"\g<1>26'h0, absolute[37:0]}",
          SERIAL_LEAST),
    Fault("statistics", "a serial count is a bit too narrow",
          r"25'h0000000, count_total\}", "26'h0, count_total[6:0]}", SERIAL_LEAST),
    Fault("multiplier", "a position of a digit is lost in look-up tables",
          r"(assign digits\[6\] = ).*;", r"\1 1'h0;", FPGA),
    Fault("dot_product", "a carry chain's last carry is lost", r"(assign total = )a \+ b;",
          r"\1{1'h0, a + b};", FPGA),
    Fault("read_dma", "bytes behind a segment are not cleared",
          r"(assign unit_payload_data = from_0) & [^;]*;", r"\1;", BUS, "every_place_in_a_beat"),
    Fault("read_dma", "a segment that goes on at address 0 is inside",
          r"(above_3 & ~\()high_3\[16\] \| ", r"\1", BUS, "edges_of_the_window"),
    Fault("read_dma", "a segment behind the last address is inside",
          r"(above_3 & ~\(high_3\[16\]) \| command_3\[32\]", r"\1", BUS, "edges_of_the_window"),
    Fault("read_dma", "the last byte of the window is outside", r"<=(\s+window_limit)",
          r"<\1", BUS, "edges_of_the_window"),
    Fault("read_dma", "a bad beat at the end of a run is missed",
          r"\(spans & next_valid\) & coming\[65\]", "1'h0", BUS, "errors_on_every_beat"),
    Fault("read_dma", "a stop ends before the last beat has come", r"halted & idle", "halted", BUS,
          "stop_at_every_cycle"),
    Fault("write_dma", "a byte in a beat of its own is lost", r"(over <= .*stop > )4'h8",
          r"\g<1>4'h9", BUS, "every_place_in_a_beat"),
    Fault("write_dma", "after a stop there are strobes", r"\{8\{~\w*halt\w*\}\}", "8'hff", BUS,
          "stop_at_every_cycle"),
    Fault("write_dma", "the window has no start",
          r"command_1\[31:0\] >= window_base", "1'h1", BUS, "edges_of_the_window"),
    Fault("write_dma", "bytes behind a segment are written",
          r"\(left < part_payload\[67:64\]\) \? _\d+_ :", "", BUS, "too_much_data"),
    Fault("registers", "a window does not heed its lock",
          r"(& selected_21\)) & ~window_lock_lock_kept", r"\1", TINY, "locked_windows_stay"),
    Fault("registers", "a later error takes the place of the first",
          r"~\(\|error_code_kept\) \| control_acknowledge", "1'h1", TINY, "errors"),
    Fault("registers", "an acknowledge counts before the core stands",
          r"\(slave_write & selected_7\) & status_stopped", "slave_write & selected_7", TINY,
          "errors"),
    Fault("registers", "a level is taken for an event",
          r"status_stopped & ~interrupt_status_error_before", "status_stopped", TINY, "interrupts"),
    Fault("registers", "a disabled event raises the interrupt",
          r"interrupt_status_idle_kept & interrupt_enable_idle_kept",
          "interrupt_status_idle_kept", TINY, "interrupts"),
    Fault("registers", "an event that comes while its bit is cleared is lost",
          r"(\(interrupt_status_job \| interrupt_test_job_kept\)) \?",
          r"(\1 & ~(slave_write & selected_9)) ?", TINY, "no_event_is_lost"),
    Fault("registers", "a strobe is not heeded", r"\{\{7\{strobes\[3\]\}\}", "{{7{1'h1}}", TINY,
          "bit_bash"),
    Fault("registers", "a reset value is another",
          r"(read_base_low_value_kept <=\s+rst \? 32'h0000000)1", r"\g<1>3", TINY, "reset_values"),
    Fault("registers", "what is nowhere answers OKAY", r"(assign slave_write_error = ).*;",
          r"\1 1'h0;", TINY, "addresses_without_a_register"),
    Fault("registers", "an answer does not wait for its master",
          r"\(bus_rvalid & bus_rready\) \? 1'h0", "bus_rvalid ? 1'h0", TINY, "random_accesses"),
    Fault("registers", "counters are not cleared", r"new_data = clears \?", "new_data = 1'h0 ?",
          TINY, "counters"),
    Fault("registers", "a round's last count is lost",
          r"(held_macs <=\s+rst \? 10'h000 :\s+ends \? )total_macs", r"\1growing_macs", TINY,
          "snapshots_are_of_one_cycle"),
    Fault("registers", "reads do not wait for a snapshot", r"(has_address_\d+ & ~bus_rvalid\)) & "
          r"~hold", r"\1", TINY, "snapshots_are_of_one_cycle"),
    Fault("core", "the odd phase's codes are the even one's", r"chosen\[7:4\] : chosen\[3:0\]",
          "chosen[3:0] : chosen[3:0]", CORES["asic"], "random_lists"),
    Fault("core", "a descriptor is read before all that the one before it reads",
          r"(assign fetch_loaded = )[^;]*;", r"\1 1'h1;", CORES["asic"], "errors_on_every_beat"),
)


# what a bench says of a wrong design, not of a simulator that could not start
NOTICED = r"(?s)AssertionError: .*(expected|differs?|came|hang|did not hold).*repeat with: make"


def test_every_bench_has_a_fault():
    assert {fault.block for fault in FAULTS} == set(BENCHES)


@pytest.mark.parametrize("fault", FAULTS,
                         ids=[f"{fault.block}-{fault.what}".replace(" ", "_") for fault in FAULTS])
def test_every_bench_fails_on_a_fault(fault, tmp_path):
    # most of these benches end after a few cycles: Icarus compiles in a tenth of the time
    simulator = "icarus" if shutil.which("iverilog") else "verilator"
    settings = Settings(fault.block, BENCHES[fault.block].top, fault.config, simulator=simulator)
    text = verilog_file(fault.config, settings.top).read_text()
    text, count = re.subn(fault.pattern, fault.replacement, text, count=1)
    assert count == 1, f"nothing to break in {settings.top}: {fault.pattern}"
    path = tmp_path / f"{settings.top}.v"
    path.write_text(text)
    with pytest.raises(AssertionError, match=NOTICED):
        simulate(settings, verilog=path, only=fault.test)
        pytest.fail(f"bench {fault.block} did not notice that {fault.what}")
