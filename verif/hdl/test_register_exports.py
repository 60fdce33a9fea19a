# SPDX-License-Identifier: Apache-2.0
"""RTL, C header, IP-XACT, HTML and Python constants of registers say the same."""

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from golden.config import PRESETS, Config, preset
from golden.descriptor import Fault
from hdl.core import register_map as module
from hdl.core.register_map import ADDRESS_WIDTH, parameters, register_map
from hdl.core.registers import Registers, check_field, fields
from hdl.emit.registers import c_header, html, ip_xact
from verif.bench.watchdog import watched

CONFIGS = [*PRESETS.values(), Config(4, 2, 4, 20, radices=(2,), stochastic=False, tensors=256,
                                       bus_width=128, depth=64, strip=32)]
ACCESS = {"read-only": "r", "read-write": "rw", "write-only": "w"}


def facts(config: Config) -> dict:
    """(register, field) -> (address, lowest bit, width, reset value) by the Python constants."""
    return {(register.name, field.name): (register.address, field.low, field.width, field.reset)
            for register in register_map(config).registers.values()
            for field in register.fields.values()}


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_capabilities_are_those_of_the_configuration(config):
    shown = {name: field.reset for register in list(register_map(config).registers.values())[:6]
             for name, field in register.fields.items()}
    assert shown["value"].to_bytes(4, "little") == b"TETR"
    for name in ("rows", "cols", "lanes", "accumulator_width", "dim_width", "tensors",
                 "bus_width", "depth", "strip"):
        assert shown[name] == getattr(config, name)
    assert shown["stochastic"] == config.stochastic
    assert [4] * shown["fp4_r4"] + [2] * shown["fp4_r2"] == sorted(config.radices, reverse=True)
    assert set(parameters(config)) == {p.name for p in register_map(config).node.inst.parameters}


def test_registers_do_not_overlap():
    registers = list(register_map().registers.values())
    addresses = [register.address for register in registers]
    assert addresses == sorted(set(addresses)) and not any(address % 4 for address in addresses)
    assert addresses[-1] < 1 << ADDRESS_WIDTH
    for register in registers:
        masks = [field.mask for field in register.fields.values()]
        assert sum(masks).bit_count() == sum(mask.bit_count() for mask in masks)
        assert register.doc and all(field.doc for field in register.fields.values())
    counters = list(register_map().counters.values())
    assert [c.address for c in counters] == [counters[0].address + 8 * i
                                             for i in range(len(counters))]


def test_error_codes_are_those_of_the_golden_model():
    assert {name: code for name, (code, _) in register_map().errors.items()} == {
        fault.name: fault.value for fault in Fault}


@pytest.mark.parametrize("config", CONFIGS[-2:], ids=repr)
def test_c_header(config, tmp_path):
    """It compiles alone, without a warning; what the compiler makes of each name is what Python
    has."""
    (tmp_path / "tetra_registers.h").write_text(c_header(config))
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["gcc", *strict, "-fsyntax-only", "-x", "c", "tetra_registers.h"],
                   check=True, cwd=tmp_path)
    registers, lines = register_map(config), []

    def show(*parts):
        lines.append(f'    printf("%ld\\n", (long)({" ".join(parts)}));')

    expected = []
    for register in registers.registers.values():
        inner = f"{register.pair}.{register.name.removeprefix(register.pair + '_')}"
        member = inner if register.pair else register.name
        show(f"TETRA_{register.name.upper()}_ADDRESS")
        show(f"offsetof(tetra_t, {member})")
        expected += [register.address] * 2
        for field in register.fields.values():
            name = f"TETRA__{member.upper().replace('.', '__')}__{field.name.upper()}"
            for suffix, value in (("bm", field.mask), ("bp", field.low), ("bw", field.width),
                                  *([("reset", field.reset)] if field.reset is not None else [])):
                show(f"{name}_{suffix}")
                expected.append(value)
    for name, (code, _) in registers.errors.items():
        show(f"TETRA_ERROR_{name}")
        expected.append(code)
    (tmp_path / "main.c").write_text(
        '#include "tetra_registers.h"\n#include <stddef.h>\n#include <stdio.h>\n'
        "int main(void) {\n" + "\n".join(lines) + "\n    return 0;\n}\n")
    subprocess.run(["gcc", *strict, "-o", "main", "main.c"], check=True, cwd=tmp_path)
    shown = subprocess.run(["./main"], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert list(map(int, shown.stdout.split())) == expected


@pytest.mark.parametrize("config", CONFIGS[-2:], ids=repr)
def test_ip_xact(config):
    space = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    block = ElementTree.fromstring(ip_xact(config)).find(".//x:addressBlock", space)

    def number(node, name, default=None):
        text = node.findtext(f"x:{name}", default, space)
        return None if text is None else int(text.replace("'h", "0x"), 0)

    assert number(block, "range") == 4096 and number(block, "width") == 32
    found, access = {}, {}
    files = [("", 0, block)] + [
        (f"{file.findtext('x:name', '', space)}_", number(file, "addressOffset"), file)
        for file in block.findall("x:registerFile", space)]
    for prefix, base, file in files:
        for register in file.findall("x:register", space):
            name = prefix + register.findtext("x:name", "", space)
            for field in register.findall("x:field", space):
                key = name, field.findtext("x:name", "", space)
                reset = field.find("x:resets/x:reset", space)
                found[key] = (base + number(register, "addressOffset"), number(field, "bitOffset"),
                              number(field, "bitWidth"),
                              None if reset is None else number(reset, "value"))
                access[key] = ACCESS[field.findtext("x:access", "", space)]
    assert found == facts(config)
    assert access == {(register.name, field.name): field.access
                      for register in register_map(config).registers.values()
                      for field in register.fields.values()}


def test_html(tmp_path):
    """The pages' own index of registers, and their text."""
    config = preset("tiny")
    html(config, tmp_path)
    nodes = json.loads((tmp_path / "data" / "ral-data-0.json").read_text())
    found = {}
    for node in nodes:
        above = nodes[node["parent"]] if node["parent"] else None  # the map itself is number 0
        name = f"{above['name']}_{node['name']}" if above else node["name"]
        base = int(above["offset"], 16) if above else 0
        for field in node.get("fields", ()):
            found[name, field["name"]] = (
                base + int(node["offset"], 16), field["lsb"], field["msb"] - field["lsb"] + 1,
                int(field["reset"], 16))
    # pages show 0 where the hardware gives the value
    assert found == {key: (*fact[:3], fact[3] or 0) for key, fact in facts(config).items()}
    text = " ".join(page.read_text() for page in (tmp_path / "content").iterdir())
    for name, (_, doc) in register_map(config).errors.items():
        assert name in text and doc.split("'")[0] in text, name
    assert (tmp_path / "index.html").exists()


@pytest.mark.parametrize("config", CONFIGS[-2:], ids=repr)
def test_rtl(config):
    """What the RTL answers at every address after reset, in the second simulator."""
    registers = register_map(config).registers
    dut = Registers(config)
    found = {}

    async def read(ctx):
        bus = dut.bus
        ctx.set(bus.rready, 1)
        for address in range(0, 1 << ADDRESS_WIDTH, 4):
            ctx.set(bus.araddr, address)
            ctx.set(bus.arvalid, 1)
            await ctx.tick().until(bus.arready)
            ctx.set(bus.arvalid, 0)
            data, response = (await ctx.tick().sample(bus.rdata, bus.rresp).until(bus.rvalid))
            if response == 0:
                found[address] = data
            else:
                assert (response, data) == (2, 0)

    watched(dut, read, cycles=10_000)
    assert found == {register.address: register.reset for register in registers.values()}
    ports = {name: member.shape for name, member in dut.signature.members.items()
             if isinstance(getattr(member, "shape", None), int)}
    for register, field in fields(register_map(config)):
        name = register.pair or (register.name if field.name == "value"
                                 else f"{register.name}_{field.name}")
        if field.hardware_reads or field.hardware_writes:
            assert ports[name] == (64 if register.pair else field.width), name


@pytest.mark.parametrize(("old", "new", "text"), [
    ("default precedence = hw;", "", r"interrupt_status.job: expected precedence = hw"),
    ('singlepulse;\n        } soft', 'onread = rclr;\n        } soft',
     r"control.soft_reset: onread is not built here"),
])
def test_what_is_not_built_is_refused(old, new, text, tmp_path, monkeypatch):
    source = tmp_path / "registers.rdl"
    before = module.SOURCE.read_text()
    assert len(re.findall(re.escape(old), before)) == 1
    source.write_text(before.replace(old, new))
    monkeypatch.setattr(module, "SOURCE", source)
    with pytest.raises(ValueError, match=text):
        for register, field in fields(module.register_map.__wrapped__(preset("tiny"))):
            check_field(register, field)
