# SPDX-License-Identifier: Apache-2.0
"""`tetra.h`: it is what its generator writes, compiles alone, and packs as Python does."""

import subprocess

import numpy as np
import pytest

from driver.c_example import c_compiler
from driver.descriptor import unpack_report
from driver.header import PATH, header
from golden.config import preset
from golden.descriptor import FIELDS, WORD, Descriptor, Fault
from golden.dyadic import Dyadic
from golden.report import Entry, Report
from golden.report_words import REPORT_FIELDS, pack_report
from golden.statistics import measure
from hdl.emit.package import c_header
from tools import verilator
from verif.golden.test_descriptor import random_descriptor
from verif.needs import needs_c

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
C, CXX = c_compiler(), verilator.compiler()
LANGUAGES = {"c99": (C, "-x", "c", "-std=c99"), "c11": (C, "-x", "c", "-std=c11"),
             "c++11": (CXX, "-x", "c++", "-std=c++11"), "c++20": (CXX, "-x", "c++", "-std=c++20")}


def compiled(tmp_path, source: str, language: str = "c99", run: bool = True) -> bytes:
    """What the program prints, compiled with warnings as errors."""
    file, program = tmp_path / "main.txt", tmp_path / "main"
    file.write_text(source)
    how = ("-o", program) if run else ("-fsyntax-only",)
    done = subprocess.run([*LANGUAGES[language], *STRICT, f"-I{PATH.parent}", f"-I{tmp_path}", *how,
                           file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return subprocess.run([program], capture_output=True, check=True).stdout if run else b""


def test_the_file_is_what_is_generated():
    assert PATH.read_text() == header(), "out of date: python -m driver.header"


@needs_c
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_compiles_alone_and_beside_the_engines(language, tmp_path):
    compiled(tmp_path, '#include "tetra.h"\n#include "tetra.h"\nint main(void) { return 0; }\n',
             language)
    (tmp_path / "tetra_layouts.h").write_text(c_header(preset("tiny"), ""))
    for first, second in (("tetra.h", "tetra_layouts.h"), ("tetra_layouts.h", "tetra.h")):
        compiled(tmp_path, f'#include "{first}"\n#include "{second}"\n', language, run=False)


def literal(value: int, width: int) -> str:
    return f"((uint64_t){value >> 32}u << 32 | {value & 0xFFFFFFFF}u)" if width > WORD else (
        f"{int(value)}" if value < 0 else f"{int(value)}u")


@needs_c
@pytest.mark.parametrize("language", ["c99", "c++11"])
def test_random_descriptors_pack_alike(language, tmp_path):
    """Setters in any order over other values, getters, packing and unpacking."""
    rng = np.random.default_rng(3)
    drawn = [Descriptor(), *(random_descriptor(rng) for _ in range(12))]
    body = []
    for i, d in enumerate(drawn):
        body.append(f"static void fill{i}(tetra_descriptor *d) {{")
        for place in rng.permutation(len(FIELDS)) if i else []:
            field = FIELDS[place]
            value = literal(int(getattr(d, field.name)), field.width)
            body += [f"    bad |= tetra_set_{field.name}(d, {value});",
                     f"    bad |= tetra_get_{field.name}(d) != ({value});"]
        body += ["    bad |= !d;", "}"]
    calls = "\n".join(f"    show(fill{i});" for i in range(len(drawn)))
    out = compiled(tmp_path, f"""#include <stdio.h>
#include <string.h>
#include "tetra.h"
static int bad = 0;
static tetra_descriptor d;
{chr(10).join(body)}
static void show(void (*fill)(tetra_descriptor *)) {{
    uint8_t bytes[TETRA_DESCRIPTOR_BYTES];
    tetra_descriptor copy;
    fill(&d);
    tetra_pack(&d, bytes);
    tetra_unpack(&copy, bytes);
    bad |= memcmp(&copy, &d, sizeof d);
    fwrite(bytes, 1, sizeof bytes, stdout);
}}
int main(void) {{
    memset(&d, 255, sizeof d);
    tetra_init(&d);
{calls}
    return bad != 0;
}}
""", language)
    assert out == b"".join(d.pack() for d in drawn)


@needs_c
def test_what_does_not_fit_is_refused(tmp_path):
    """The setter gives -1, and every field is as it was."""
    lines = []
    for field in FIELDS:
        low, high = field.range
        beyond = ([low - 1] if field.signed else []) + ([high + 1] if field.width < WORD else [])
        lines += [f"    bad += tetra_set_{field.name}(&d, {value}) != -1;" for value in beyond]
        lines += [f"    bad += tetra_set_{field.name}(&d, tetra_get_{field.name}(&d)) != 0;"]
    assert len(lines) > len(FIELDS) + 30
    out = compiled(tmp_path, """#include <stdio.h>
#include "tetra.h"
int main(void) {
    uint8_t bytes[TETRA_DESCRIPTOR_BYTES];
    tetra_descriptor d;
    int bad = 0;
    tetra_init(&d);
""" + "\n".join(lines) + """
    tetra_pack(&d, bytes);
    fwrite(bytes, 1, sizeof bytes, stdout);
    return bad;
}
""")
    assert out == Descriptor().pack()


@needs_c
def test_places_codes_and_names(tmp_path):
    """Macros are Python's numbers; every code has its name, others have none."""
    wanted = {f"TETRA_{field.name.upper()}_{end}": getattr(field, end.lower())
              for field in FIELDS for end in ("WORD", "LOW", "WIDTH")}
    wanted |= {f"TETRA_FAULT_{fault.name}": fault.value for fault in Fault}
    wanted |= {"TETRA_OP_FENCE": 3, "TETRA_OUTFORMAT_FP4_R2": 5, "TETRA_BFORMAT_FP4_R2": 2,
               "TETRA_USE_EXPONENT": 2, "TETRA_SOLVEMODE_GRADSCALE": 5,
               "TETRA_DESCRIPTOR_VERSION": 1, "TETRA_DESCRIPTOR_WORDS": 64}
    shown = "\n".join(f'    printf("%d\\n", (int){name});' for name in wanted)
    out = compiled(tmp_path, f"""#include <stdio.h>
#include "tetra.h"
int main(void) {{
    uint32_t code;
{shown}
    for (code = 0; code < 20; code++)
        printf("%s\\n", tetra_fault_name(code));
    return 0;
}}
""").decode().split("\n")
    assert out[:len(wanted)] == [str(int(value)) for value in wanted.values()]
    assert out[len(wanted):-1] == [*(fault.name for fault in Fault), "?", "?"]


@needs_c
def test_reports_are_read(tmp_path):
    rng = np.random.default_rng(4)
    found = measure(rng.integers(-(2**31), 2**31, (9, 9)), 7, 5)
    report = Report(found, Dyadic(50000, 33), -1234, Entry(Dyadic(40000, 9), 77, -40, True), True,
                    False, False, True, False, True)
    data = pack_report(report)
    bits = int.from_bytes(data, "little")
    assert unpack_report(bits) == report
    reads = "\n".join(
        f'    printf("%llu\\n", (unsigned long long)tetra_report_bits(report, '
        f"TETRA_REPORT_{field.name.upper()}_BIT, {min(field.width, 64)}));"
        for field in REPORT_FIELDS)
    out = compiled(tmp_path, f"""#include <stdio.h>
#include "tetra.h"
static const uint8_t report[TETRA_REPORT_BYTES] = {{{", ".join(map(str, data))}}};
int main(void) {{
{reads}
    return TETRA_REPORT_WORDS != {len(data) // 4};
}}
""").decode().split()
    assert out == [str(bits >> field.offset & (1 << min(field.width, 64)) - 1)
                   for field in REPORT_FIELDS]
