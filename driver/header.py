# SPDX-License-Identifier: Apache-2.0
"""`python -m driver.header`: write `driver/c/tetra.h`, the core's descriptor for C and C++.

Every field, enum and code comes from `golden.descriptor` and `golden.report_words`. The header
needs nothing but <stdint.h>, compiles as C99 and as C++, and may stand beside the engine's
tetra_layouts.h, whose constants of the same name are the same.
"""

import sys
import textwrap
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from golden.adaptive import Use
from golden.descriptor import (
    B_FORMATS,
    BYTES,
    FIELDS,
    VERSION,
    WORD,
    WORDS,
    BitField,
    CoreOp,
    Fault,
)
from golden.formats import FORMATS
from golden.report_words import REPORT_FIELDS, REPORT_WORDS
from golden.solver import SolveMode
from tools.files import write_atomically

PATH = Path(__file__).parent / "c" / "tetra.h"

HEAD = """/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor of a Tetra core. Made by `python -m driver.header`: change golden/descriptor.py.

   A program fills a tetra_descriptor with tetra_init and the setters, lets tetra_pack write its
   bytes into an entry of the command ring, and moves the tail. Reports of adapting jobs are read
   with tetra_report_bits. */
#ifndef TETRA_H
#define TETRA_H

#include <stdint.h>
"""

TYPES = f"""
/* 32-bit words in the byte order of the machine; in memory they are little endian. */
typedef struct {{
    uint32_t word[{WORDS}];
}} tetra_descriptor;

/* A field of at most 64 bits; those of more than 32 start at bit 0 of a word. */
static inline uint64_t tetra_get_bits(const tetra_descriptor *d, unsigned word, unsigned low,
                                      unsigned width)
{{
    uint64_t value = d->word[word] >> low;
    if (width > 32u)
        value |= (uint64_t)d->word[word + 1u] << 32;
    return width < 64u ? value & (((uint64_t)1 << width) - 1u) : value;
}}

static inline void tetra_set_bits(tetra_descriptor *d, unsigned word, unsigned low,
                                  unsigned width, uint64_t value)
{{
    const uint32_t ones = width < 32u ? ((uint32_t)1 << width) - 1u : 0xFFFFFFFFu;
    d->word[word] = (d->word[word] & ~(ones << low)) | (((uint32_t)value & ones) << low);
    if (width > 32u)
        d->word[word + 1u] = (uint32_t)(value >> 32);
}}

/* The {BYTES} bytes of a descriptor in memory, and back. */
static inline void tetra_pack(const tetra_descriptor *d, uint8_t *bytes)
{{
    unsigned i;
    for (i = 0; i < {BYTES}u; i++)
        bytes[i] = (uint8_t)(d->word[i / 4u] >> 8u * (i % 4u));
}}

static inline void tetra_unpack(tetra_descriptor *d, const uint8_t *bytes)
{{
    unsigned i;
    for (i = 0; i < {WORDS}u; i++)
        d->word[i] = 0;
    for (i = 0; i < {BYTES}u; i++)
        d->word[i / 4u] |= (uint32_t)bytes[i] << 8u * (i % 4u);
}}
"""

REPORT = """
/* Up to 64 bits of a report from bit `offset` on; the sign of a signed field is its highest bit. */
static inline uint64_t tetra_report_bits(const uint8_t *report, unsigned offset, unsigned width)
{
    uint64_t value = 0;
    unsigned i;
    for (i = 0; i < width; i++)
        value |= (uint64_t)(report[(offset + i) / 8u] >> (offset + i) % 8u & 1u) << i;
    return value;
}
"""


def header() -> str:
    """The text of `tetra.h`."""
    parts = [HEAD, "\n".join(_constants()), TYPES, *map(_accessors, FIELDS), _init(), _names(),
             "\n".join(_report()), REPORT, "\n#endif /* TETRA_H */\n"]
    return "".join(parts)


def _constants() -> Iterator[str]:
    yield ""
    yield f"#define TETRA_DESCRIPTOR_VERSION {VERSION}"
    yield f"#define TETRA_DESCRIPTOR_WORDS {WORDS}"
    yield f"#define TETRA_DESCRIPTOR_BYTES {BYTES}"
    enums: dict[str, tuple[str, dict[str, int]]] = {
        "op": ("op", _numbers(CoreOp)),
        "outformat": ("format", {fmt.name: fmt.encoding for fmt in FORMATS.values()}),
        "bformat": ("b_format", {fmt.name: i for i, fmt in enumerate(B_FORMATS)}),
        "use": ("adapt_use", _numbers(Use)),
        "solvemode": ("adapt_mode", _numbers(SolveMode)),
        "fault": ("why a core stopped", _numbers(Fault)),
    }
    for name, (meaning, members) in enums.items():
        yield f"\n/* {meaning} */"
        yield from (f"#define TETRA_{name.upper()}_{member} {number}"
                    for member, number in members.items())
    yield "\n/* Where fields lie: word, lowest bit in it, width in bits. */"
    for field in FIELDS:
        upper = f"#define TETRA_{field.name.upper()}"
        yield f"{upper}_WORD {field.word}"
        yield f"{upper}_LOW {field.low}"
        yield f"{upper}_WIDTH {field.width}"
    yield ""


def _numbers(enum: type[IntEnum]) -> dict[str, int]:
    return {member.name: int(member) for member in enum}


def _comment(text: str) -> str:
    return textwrap.fill(f"/* {text} */", 100, subsequent_indent="   ")


def _type(field: BitField) -> str:
    if field.signed:
        return "int32_t"
    return "uint64_t" if field.width > WORD else "uint32_t"


def _place(field: BitField) -> str:
    return f"{field.word}u, {field.low}u, {field.width}u"


def _accessors(field: BitField) -> str:
    """A setter, which refuses what does not fit, and a getter."""
    kind, (low, high) = _type(field), field.range
    tests = [f"value < {low}"] if field.signed else []
    tests += [f"value > {high}{'' if field.signed else 'u'}"] if field.width < WORD else []
    check = f"    if ({' || '.join(tests)})\n        return -1;\n" if tests else ""
    span = f"{low}..{high}" if field.width <= WORD else "64 bits"
    got = f"tetra_get_bits(d, {_place(field)})"
    if field.signed:
        half = f"(int32_t){high + 1}"
        got = f"((int32_t){got} ^ {half}) - {half}"
    return f"""
{_comment(f"{field.name}: {field.doc}. {span}; the setter gives 0, or -1 for others and sets none")}
static inline int tetra_set_{field.name}(tetra_descriptor *d, {kind} value)
{{
{check}    tetra_set_bits(d, {_place(field)}, (uint64_t)value);
    return 0;
}}

static inline {kind} tetra_get_{field.name}(const tetra_descriptor *d)
{{
    return {got if field.signed else f"({kind}){got}"};
}}
"""


def _init() -> str:
    defaults = "\n".join(f"    tetra_set_{field.name}(d, {int(field.default)});"
                         for field in FIELDS if field.default)
    return f"""
/* A descriptor that asks for nothing: one batch element, results INT32 with scale 1. */
static inline void tetra_init(tetra_descriptor *d)
{{
    unsigned i;
    for (i = 0; i < {WORDS}u; i++)
        d->word[i] = 0;
{defaults}
}}
"""


def _names() -> str:
    cases = "\n".join(f'    case TETRA_FAULT_{fault.name}: return "{fault.name}";'
                      for fault in Fault)
    return f"""
/* The name of a code of the core's error register, or "?". */
static inline const char *tetra_fault_name(uint32_t code)
{{
    switch (code) {{
{cases}
    default: return "?";
    }}
}}
"""


def _report() -> Iterator[str]:
    yield f"\n#define TETRA_REPORT_WORDS {REPORT_WORDS}"
    yield f"#define TETRA_REPORT_BYTES {4 * REPORT_WORDS}"
    yield "\n/* Where the fields of a report lie: lowest bit and width. */"
    for field in REPORT_FIELDS:
        signed = "  /* signed */" if field.signed else ""
        yield f"#define TETRA_REPORT_{field.name.upper()}_BIT {field.offset}{signed}"
        yield f"#define TETRA_REPORT_{field.name.upper()}_WIDTH {field.width}"
    yield ""


def main() -> int:
    write_atomically(PATH, header().encode())
    print(f"wrote {PATH}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
