# SPDX-License-Identifier: Apache-2.0
"""Random designs through `hdl.emit.plain`: the plain text does in Icarus what Yosys' text does.

The proof in `test_verilog.py` takes the tiny engine as it is; here are widths, signs, shifts,
slices that do not start at bit 0, initial values and names that no block of ours happens to have.
"""

import random
import re
import subprocess
from collections import Counter

import pytest
from amaranth.hdl import Cat, ClockDomain, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.hdl._ir import PortDirection
from amaranth.lib import memory

from hdl.emit.plain import plain
from hdl.emit.verilog import write_verilog
from hdl.library import Library
from verif.needs import needs_icarus

DESIGNS, CYCLES = 60, 40
WIDTHS = (1, 1, 1, 2, 3, 4, 5, 8, 9, 16, 31, 32, 33)
NAMES = ["a", "b_c", "signal", "x__y", "x_y", "begin", "_q", "q$1", "v.w"]  # to be made plain
OPERATORS = {
    "+": lambda a, b, c: a + b, "-": lambda a, b, c: a - b, "&": lambda a, b, c: a & b,
    "|": lambda a, b, c: a | b, "^": lambda a, b, c: a ^ b, "~": lambda a, b, c: ~a,
    "negative": lambda a, b, c: -a, "*": lambda a, b, c: a[:16] * b[:16],
    "<": lambda a, b, c: a < b, "<=": lambda a, b, c: a <= b, "==": lambda a, b, c: a == b,
    "!=": lambda a, b, c: a != b, ">=": lambda a, b, c: a >= b,
    "choice": lambda a, b, c: Mux(a, b, c), "join": lambda a, b, c: Cat(a, b, c),
    "left": lambda a, b, c: a[:32] << b[:3], "right": lambda a, b, c: a >> b[:4],
    "left by": lambda a, b, c: a.shift_left(len(b) % 6),
    "right by": lambda a, b, c: a.shift_right(len(b) % 9),
    "slice": lambda a, b, c: a[len(a) // 2:], "bits": lambda a, b, c: a.bit_select(b[:4], 3),
    "repeat": lambda a, b, c: a[:9].replicate(3), "any": lambda a, b, c: a.any(),
    "all": lambda a, b, c: a.all(), "xor": lambda a, b, c: a.xor(),
    "bool": lambda a, b, c: a.bool(), "signed": lambda a, b, c: a.as_signed(),
    "unsigned": lambda a, b, c: a.as_unsigned(),
}


def design(rng: random.Random):
    """A module, its inputs and its outputs."""
    def shape():
        width = rng.choice(WIDTHS)
        return signed(width) if rng.random() < 0.45 else unsigned(width)

    m = Module()
    inputs = [Signal(shape(), name=f"i{n}") for n in range(rng.randint(2, 4))]
    names = rng.sample(NAMES, 5)
    registers = [Signal(width := rng.choice(WIDTHS), name=name, init=rng.getrandbits(width))
                 for name in names[:rng.randint(0, 3)]]
    held = Signal(rng.choice([5, 9, 16]), name="held")  # its lower bits never change
    pool = [*inputs, *registers, held, held[2:4]]

    def value(depth: int) -> Value:
        if depth == 0 or rng.random() < 0.1:
            if rng.random() < 0.2:
                width = rng.choice(WIDTHS)
                return Const(rng.choice([0, 1, rng.getrandbits(width)]), width)
            return Value.cast(rng.choice(pool))
        operands = [value(depth - 1) for _ in range(3)]
        found = Value.cast(rng.choice(list(OPERATORS.values()))(*operands))
        found = found[:40] if len(found) > 40 else found
        return found if len(found) else operands[0]

    if rng.random() < 0.9:
        pool.append(stored(m, rng, value))
    for name in names[3:]:
        wire = Signal(shape(), name=name)
        m.d.comb += wire.eq(value(3))
        pool.append(wire)
    outputs = [Signal(shape(), name=f"o{n}") for n in range(rng.randint(2, 4))]
    for output in outputs:
        m.d.comb += output.eq(value(rng.randint(1, 4)))
    m.d.sync += held[rng.randint(1, 4):].eq(value(2))
    for register in registers:
        m.d.sync += register.eq(value(rng.randint(1, 3)))
        with m.If(value(2).bool()):
            m.d.sync += register[len(register) // 2:].eq(value(2))
        with m.Switch(value(1).as_unsigned()[:2]):
            with m.Case(1):
                m.d.sync += register.eq(value(2))
            with m.Default():
                m.d.comb += outputs[0].eq(value(2))
    return m, inputs, outputs


def stored(m: Module, rng: random.Random, value) -> Value:
    """What a memory shows that one or two ports write in pieces."""
    pieces, width, places = rng.choice([1, 2, 5, 9]), rng.randint(1, 4), 8
    init = rng.choice([[], [rng.getrandbits(pieces * width)] * places,
                       [rng.getrandbits(pieces * width) for _ in range(places)]])
    name = rng.choice(["n", "store", "write"])  # the first one is what a loop would count with
    m.submodules[name] = store = memory.Memory(
        shape=pieces * width, depth=places, init=init)
    for half in range(rng.randint(1, 2)):  # of the addresses: two ports never write the same word
        write = store.write_port(granularity=width)
        m.d.comb += [write.addr.eq(Cat(value(1).as_unsigned()[:2], half)),
                     write.data.eq(value(2)), write.en.eq(value(2))]
    read = store.read_port(domain=rng.choice(["comb", "sync"]))
    m.d.comb += read.addr.eq(value(1))
    return read.data


def bench(cases: list, rng: random.Random) -> str:
    """A testbench that gives each pair the same inputs and says which outputs differ."""
    lines = ["module tb;", "  reg clk = 0, rst = 0; integer n;"]
    checks = []
    for number, inputs, outputs, ports in cases:
        for signal in inputs:
            lines.append(f"  reg [{len(signal) - 1}:0] i_{number}_{signal.name};")
        for kind in ("raw", "plain"):
            lines += [f"  wire [{len(s) - 1}:0] {kind}_{number}_{s.name};" for s in outputs]
            connected = [f".{s.name}(i_{number}_{s.name})" for s in inputs if s.name in ports]
            connected += [f".{s.name}({kind}_{number}_{s.name})" for s in outputs]
            connected += [f".{name}({name})" for name in ("clk", "rst") if name in ports]
            lines.append(f"  {kind}_{number} u_{kind}_{number} ({', '.join(connected)});")
        checks += [f'      if (raw_{number}_{s.name} !== plain_{number}_{s.name}) '
                   f'$display("DIFFERS {number} {s.name} %0d %h %h", n, raw_{number}_{s.name}, '
                   f"plain_{number}_{s.name});" for s in outputs]
    lines.append(f"  initial begin\n    for (n = 0; n < {CYCLES}; n = n + 1) begin")
    lines += [f"      i_{number}_{s.name} = {{$random(seed), $random(seed)}}"
              f" >> ($random(seed) & 63) ^ -($random(seed) & 1);"
              for number, inputs, _, _ in cases for s in inputs]
    lines += ["      #1;", *checks, "      #1 clk = 1; #1 clk = 0;", "    end",
              '    $display("DONE"); $finish;', "  end",
              f"  integer seed = {rng.getrandbits(31)};", "endmodule"]
    return "\n".join(lines)


def named(text: str, top: str, kind: str) -> str:
    return re.sub(rf"(?m)^module {top}\b", f"module {kind}_{top[1:]}", text)


@needs_icarus
@pytest.mark.parametrize("seed", range(3))
def test_random_designs(seed, tmp_path):
    rng = random.Random(seed)
    library, cases = Library(), []
    for number in range(DESIGNS):
        m, inputs, outputs = design(rng)
        m.domains.sync = clock = ClockDomain("sync")
        ports = {s.name: (s, PortDirection.Input) for s in (*inputs, clock.clk, clock.rst)}
        ports |= {s.name: (s, PortDirection.Output) for s in outputs}
        library.add(f"t{number}", m, ports)
        cases.append((number, inputs, outputs))
    texts = write_verilog(library.text, [f"t{number}" for number, *_ in cases])
    sources, known, loops = [], [], Counter()
    for number, inputs, outputs in cases:
        raw = texts[top := f"t{number}"]
        readable = plain(raw, {}, {}, top)
        assert "\\" not in readable
        loops.update(re.findall(r"begin : (fill|write)_", readable))
        sources += [named(raw, top, "raw"), named(readable, top, "plain")]
        known.append((number, inputs, outputs, set(re.findall(r"\w+", raw.split(");")[0]))))
    (tmp_path / "tb.v").write_text("\n".join([*sources, bench(known, rng)]))
    for command in (["iverilog", "-g2012", "-s", "tb", "-o", "tb.vvp", "tb.v"],
                    ["vvp", "-n", "tb.vvp"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert not done.returncode, done.stdout + done.stderr
    assert done.stdout == "DONE\n", done.stdout[:2000]
    assert loops["fill"] >= 20 and loops["write"] >= 2, loops
