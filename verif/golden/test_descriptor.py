# SPDX-License-Identifier: Apache-2.0
"""The descriptor's bits, and the report's, against literal places and the RTL's layouts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Shape

from driver.descriptor import REPORT, unpack_report
from golden.adaptive import Adapt
from golden.config import preset
from golden.descriptor import (
    B_FORMATS,
    FIELDS,
    USED,
    VERSION,
    CoreFault,
    CoreOp,
    Descriptor,
    Fault,
)
from golden.dyadic import Dyadic
from golden.engine import GoldenBackend, Job, Op
from golden.formats import INT4
from golden.report_words import REPORT_FIELDS, REPORT_WIDTH, REPORT_WORDS, pack_report
from golden.rescale import Rescale
from golden.solver import SolveMode
from hdl.layouts import RESCALE_LAYOUT, BFormat
from hdl.scales.layouts import ADAPT_LAYOUT, REPORT_LAYOUT

# word, low bit, width: what drivers rely on, whatever the source says
PLACES = {
    "version": (0, 0, 8), "op": (0, 8, 4), "barrier": (0, 12, 1), "interrupt": (0, 13, 1),
    "accumulate": (0, 14, 1), "transpose_a": (0, 15, 1), "transpose_b": (0, 16, 1),
    "transpose_c": (0, 17, 1), "bias": (0, 18, 1), "mask_in": (0, 19, 1), "mask_out": (0, 20, 1),
    "report": (0, 21, 1), "a_signed": (0, 22, 1), "b_format": (0, 23, 2),
    "transpose_mask": (0, 25, 1), "early_a": (0, 26, 1), "early_b": (0, 27, 1),
    "m": (1, 0, 32), "n": (2, 0, 32), "k": (3, 0, 32), "batch": (4, 0, 32),
    "multiplier": (5, 0, 16), "shift": (5, 16, 6), "format": (5, 24, 3), "stochastic": (5, 27, 1),
    "seed": (6, 0, 32), "zero_point": (7, 0, 16), "a_zero": (7, 16, 8),
    "adapt_enable": (8, 0, 1), "adapt_tensor": (8, 1, 8), "adapt_use": (8, 9, 2),
    "adapt_solve": (8, 11, 1), "adapt_mode": (8, 12, 3), "adapt_preset": (8, 15, 1),
    "adapt_valid": (8, 16, 1), "adapt_frozen": (8, 17, 1), "adapt_discard": (8, 18, 1),
    "adapt_exponent": (8, 19, 7), "adapt_alpha": (9, 0, 32),
    **{f"{name}_address": (12 + 2 * i, 0, 64) for i, name in enumerate(
        ("a", "b", "c", "c_odd", "x", "bias", "mask_in", "mask_out", "report", "scratch"))},
    **{f"{name}_stride": (32 + i, 0, 32) for i, name in enumerate(
        ("a", "b", "c", "c_odd", "x", "mask_in", "mask_out", "scratch"))},
    **{f"{name}_batch_stride": (40 + i, 0, 32) for i, name in enumerate(
        ("a", "b", "c", "c_odd", "x", "bias", "mask_in", "mask_out", "report"))},
}
SIGNED = {"zero_point", "a_zero", "adapt_exponent"}


def random_descriptor(rng: np.random.Generator) -> Descriptor:
    """Any bits in any field, the extremes often."""
    values = {}
    for place in FIELDS:
        low, high = place.range
        number = int.from_bytes(rng.bytes(8), "little") % (high - low + 1) + low
        value = (number, number, low, high)[int(rng.integers(4))]
        values[place.name] = bool(value) if isinstance(place.default, bool) else value
    return Descriptor(**values)


def test_places_are_the_documented_ones():
    assert {each.name: each[1:4] for each in FIELDS} == PLACES
    assert {each.name for each in FIELDS if each.signed} == SIGNED
    assert all(each.doc and each.low + each.width <= 64 for each in FIELDS)
    assert USED.bit_count() == sum(each.width for each in FIELDS)  # none lie over each other
    assert len({Fault(code).name for code in range(18)}) == 18


def test_packing_against_shifts():
    rng = np.random.default_rng(1)
    for _ in range(50):
        found = random_descriptor(rng)
        data = found.pack()
        words = np.frombuffer(data, "<u4").tolist()
        for name, (word, low, width) in PLACES.items():
            bits = words[word] >> low if width < 64 else words[word] | words[word + 1] << 32
            value = int(getattr(found, name))
            assert bits & (1 << width) - 1 == value & (1 << width) - 1, name
        assert len(data) == 256 and Descriptor.unpack(data) == found
        assert int.from_bytes(data, "little") & ~USED == 0


def test_other_bits_are_not_looked_at():
    data = bytes(256)
    for bit in range(2048):
        if not USED >> bit & 1:
            assert Descriptor.unpack((1 << bit).to_bytes(256, "little")) == Descriptor.unpack(data)
    for bad in (b"", bytes(255), bytearray(256), None, 0):
        with pytest.raises(ValueError, match=r"^descriptor of .*: expected 256 bytes$"):
            Descriptor.unpack(bad)


def test_defaults_ask_for_nothing():
    found = Descriptor()
    asked = {"version": VERSION, "batch": 1, "multiplier": 32768, "shift": 15, "format": 3}
    assert {each.name: getattr(found, each.name) for each in FIELDS
            if getattr(found, each.name)} == asked


def test_members_out_of_range():
    for each in FIELDS:
        if isinstance(each.default, bool):
            with pytest.raises(ValueError, match=f"^{each.name} = 1: expected True or False$"):
                Descriptor(**{each.name: 1})
            continue
        low, high = each.range
        for value in (low, high):
            assert getattr(Descriptor(**{each.name: value}), each.name) == value
        text = f"{each.name} = {high + 1} is out of range: expected an integer {low}..{high}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            Descriptor(**{each.name: high + 1})


def test_widths_are_those_of_the_rtl():
    """Fields that go to the engine as they are."""
    widths = {each.name: (each.width, each.signed) for each in FIELDS}
    pairs = [(f"adapt_{name}", field) for name, field in ADAPT_LAYOUT]
    pairs += [(name, field) for name, field in RESCALE_LAYOUT]
    for name, field in pairs:
        shape = Shape.cast(field.shape)
        assert widths[name] == (shape.width, shape.signed), name
    assert [BFormat.of(fmt).value for fmt in B_FORMATS] == list(range(len(BFormat)))
    assert widths["b_format"][0] == Shape.cast(BFormat).width
    assert [(op.name, op.value) for op in CoreOp][:3] == [(op.name, op.value) for op in Op]


def test_where_tensors_lie():
    d = Descriptor(a_address=1000, a_stride=7, a_batch_stride=2**32 - 1, bias_address=4,
                   bias_batch_stride=8, scratch_address=16, scratch_stride=12)
    assert [d.rows_of("a", e) for e in (0, 2)] == [(1000, 7), (1000 + 2**33 - 2, 7)]
    assert d.rows_of("bias", 3) == (28, 0) and d.rows_of("scratch", 9) == (16, 12)


def test_a_report_is_the_rtl_layouts_bits():
    assert REPORT_WIDTH == REPORT_LAYOUT.size and REPORT_WORDS == 14
    assert REPORT_FIELDS[0][:3] == ("count", "statistics.count", 0)
    backend, rng = GoldenBackend(preset("tiny")), np.random.default_rng(2)
    for turn in range(40):
        mode = SolveMode(turn % 6)
        x = rng.integers(-(2**31), 2**31, (3, 5)) >> int(rng.integers(31))
        then = Rescale(INT4, Dyadic(int(rng.integers(32768, 65536)), int(rng.integers(64))),
                       int(rng.integers(-99, 99)))
        alpha, exponent = int(rng.integers(2**32)), int(rng.integers(-64, 64))
        adapt = Adapt(turn % 8, turn % 3, mode, alpha, exponent)
        told = backend.run(Job.quantise(x, then, adapt=adapt)).told
        bits = int.from_bytes(pack_report(told), "little")
        assert bits < 1 << REPORT.width and unpack_report(bits) == told
    assert len(pack_report(told)) == 56


def test_a_fault_says_where():
    fault = CoreFault(Fault.READ_WINDOW, 0x1234, 7)
    assert str(fault) == "READ_WINDOW in descriptor 7, address 0x1234"
    assert (fault.code, fault.address, fault.descriptor) == (10, 0x1234, 7)
    assert str(CoreFault(3)) == "OPERATION, address 0x0"
    assert replace(Descriptor(), m=3).m == 3
