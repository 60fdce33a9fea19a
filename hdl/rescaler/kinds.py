# SPDX-License-Identifier: Apache-2.0
"""What a row is rounded to, decoded."""

from amaranth.hdl import Cat
from amaranth.lib import data

from golden.formats import FP4_R2, FP4_R4, INT4, INT4_SYM, UINT4
from hdl.layouts import OutFormat

INTEGERS = ((OutFormat.INT4, INT4), (OutFormat.INT4_SYM, INT4_SYM), (OutFormat.UINT4, UINT4))

# At most one of the formats; none is INT32.
KIND_LAYOUT = data.StructLayout({
    **{fmt.name: 1 for _, fmt in INTEGERS}, FP4_R4.name: 1, FP4_R2.name: 1, "stochastic": 1})


def kind_of(params):
    """The bits of `KIND_LAYOUT` of a row's parameters."""
    return Cat(*(params.format == OutFormat[name] for name, _ in KIND_LAYOUT if name.isupper()),
               params.stochastic)


def is_code(kind):
    """Whether a kind is one of the 4-bit integers."""
    return Cat(kind[fmt.name] for _, fmt in INTEGERS).any()
