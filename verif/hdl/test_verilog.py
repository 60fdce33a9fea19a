# SPDX-License-Identifier: Apache-2.0
"""The generated Verilog: what is in the files, under which names, and that Yosys made it so."""

import json
import re
import subprocess
import sys

import pytest

from golden.config import PRESETS, Config, preset
from hdl.emit.export import export, lint, parse_config
from hdl.emit.expressions import Names, parse, render, simplified
from hdl.emit.keywords import KEYWORDS, VERILOG, reserved
from hdl.emit.plain import plain, plain_names, read_module, write_module
from hdl.emit.ports import STYLES
from hdl.emit.verilog import (
    CORE,
    TOPS,
    tops,
    verilog,
    verilog_file,
    verilog_files,
    verilogs,
    write_verilog,
)
from hdl.library import Library
from tools.errors import ToolError
from tools.yosys import yosys

IDENTIFIER = r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*"  # of Verilog and of VHDL


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder and manifest of a preset in a style of ports, made once each."""
    made = {}

    def get(name: str, style: str):
        if (name, style) not in made:
            folder = tmp_path_factory.mktemp(f"{name}-{style}")
            export(preset(name), name, folder, style)
            made[name, style] = folder, json.loads((folder / "manifest.json").read_text())
        return made[name, style]

    return get


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+) \($", text, re.M)


def ports_of(text: str, module: str) -> list[tuple[str, str, int]]:
    """(name, direction, width) of a module's ports in their order."""
    head = text[text.index(f"module {module} ("):]
    return [(name, direction, int(msb or 0) + 1) for direction, msb, name in re.findall(
        r"^  (input|output) (?:wire|reg)(?: signed)?(?: \[(\d+):0\])? (\w+)",
        head[:head.index(");\n")], re.M)]


@pytest.mark.parametrize("style", STYLES)
def test_files_match_their_manifest(exported, style):
    folder, manifest = exported("tiny", style)
    assert manifest["config"] == json.loads(json.dumps(preset("tiny").as_dict()))
    seen = set()
    for top, described in manifest["tops"].items():
        text = (folder / described["file"]).read_text()
        assert text.startswith("// SPDX-License-Identifier: Apache-2.0")
        assert max(map(len, text.splitlines())) <= 110
        found = modules(text)
        assert found[0] == top and len(found) == len(set(found))
        assert not seen & set(found), "two tops in one design would collide"
        seen |= set(found)
        ports = ports_of(text, top)
        assert ports == [(p["name"], p["direction"], p["width"]) for p in described["ports"]]
        names = [name for name, _, _ in ports]
        assert names == sorted(names, key=lambda name: (name not in ("clk", "rst"), name))
        for name in names:
            assert re.fullmatch(IDENTIFIER, name) and name.lower() not in KEYWORDS
        assert not [p["name"] for p in described["ports"] if not p.get("doc")]
    assert (style == "packed") == any(p["name"] == "job_payload" for p in
                                      manifest["tops"]["tetra_engine"]["ports"])


def test_every_field_says_what_it_means(exported):
    def check(described, path):
        for field in described.get("fields", ()):
            assert field.get("doc"), f"{path}.{field['name']} has no meaning"
            check(field, f"{path}.{field['name']}")

    _, manifest = exported("tiny", "packed")
    for top, described in manifest["tops"].items():
        for name, payload in described["payloads"].items():
            assert payload["doc"], f"{top}.{name} has no meaning"
            check(payload, f"{top}.{name}")
        assert (" from " in described["latency_doc"]) == (described["latency"] is not None)
        assert (described["ports"][0]["name"] == "clk") == (
            described["latency_doc"] != "Combinational, no latency")
    solver = manifest["tops"]["tetra_scale_solver"]
    assert max(solver["latencies"].values()) == solver["latency"]
    job = {f["name"]: f for f in manifest["tops"]["tetra_engine"]["payloads"]["job"]["fields"]}
    assert job["op"]["enum"] == {"GEMM": 0, "QUANTISE": 1, "TABLE": 2}
    assert job["k"]["read_by"] == "GEMM"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_clean(exported, name):
    """Under -Wall; where that is cheap with everything public, as cocotb wants it."""
    folder, _ = exported(name, "fields")
    for top in TOPS:
        lint(folder / f"{top}.v", top, public=name in ("tiny", "small"))


def declared(text: str) -> set[str]:
    """Every name that modules declare, those of ports, modules and instances too."""
    text = re.sub(r"//.*", "", text)
    return {*re.findall(r"\b(?:wire|reg)(?: signed)?(?: \[\d+:\d+\])? (\w+)", text),
            *re.findall(r"^module (\w+)", text, re.M),
            *re.findall(r"^  (?!always|module)\w+ (\w+) \($", text, re.M)}


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_no_name_is_a_keyword(name):
    """Of Verilog and SystemVerilog in any module, of VHDL nowhere but in ports of inner modules."""
    for top, path in verilog_files(preset(name), "fields").items():
        text = path.read_text()
        names = declared(text)
        assert not {each for each in names if each.lower() in VERILOG}, top
        head = {port for port, _, _ in ports_of(text, top)}
        inner = {port for module in modules(text) for port, _, _ in ports_of(text, module)} - head
        assert not {each for each in names - inner if reserved(each)}, top
        assert len(names) > 5 and head <= names


SOFT = """module soft_top(clk, soft_q, {port});
  input clk;
  wire clk;
  input {port};
  wire {port};
  output soft_q;
  wire soft_q;
  reg {inner};
  always @(posedge clk)
    {inner} <= {port};
  assign soft_q = {inner};
endmodule
"""


def test_signals_called_like_a_keyword_are_renamed():
    text = plain(SOFT.format(port="given", inner="soft"), {}, {}, "soft_top")
    assert "soft_2 <= given;" in text and not {"soft"} & declared(text)


@pytest.mark.parametrize("port", ["soft", "checker", "restrict", "signal"])
def test_ports_called_like_a_keyword_are_refused(port):
    """`signal` is one of VHDL, which a top must be free of too."""
    with pytest.raises(ValueError, match=f"soft_top has a port '{port}', a keyword of Verilog"):
        plain(SOFT.format(port=port, inner="kept"), {}, {}, "soft_top")


def test_a_configuration_without_a_core(tmp_path):
    """All else is there, and what says why."""
    config = Config(1, 1, 4, dim_width=4, radices=(2,), stochastic=False, tensors=1, depth=8)
    reason = "rows = 1: a core takes 2 or more, so that results lie on bytes when they are"
    assert list(tops(config)) == [top for top in TOPS if top != CORE]
    export(config, "flat", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["no_core"].startswith(reason)
    assert set(manifest["tops"]) == set(TOPS) - {CORE}
    assert (tmp_path / "tetra_engine.v").exists()
    assert not [file for file in manifest["files"] if "core." in file or "core_" in file
                or "registers" in file or file == "tetra.h"]


def test_names_are_plain():
    for top, text in verilogs(preset("tiny"), tuple(TOPS)).items():
        assert "\\" not in re.sub(r"//.*", "", text), f"{top} has an escaped name"
        assert not re.search(r"\b(function|casez|parallel_case)\b", re.sub(r"//.*", "", text))
        assert not re.search(r"'[bh][0-9a-f]*x", text), f"{top} assigns an X"
        # what Amaranth calls a signal whose name it cannot see
        nameless = [name for name in declared(text) if re.fullmatch(r"signal(_\d*)*", name)]
        assert not nameless, f"{top} has {len(nameless)} signals without a name"


def test_prefixes_keep_configurations_apart():
    one, two = (verilog(preset("tiny"), "tetra_engine", prefix=prefix) for prefix in ("", "mine_"))
    assert {f"mine_{name}" for name in modules(one)} == set(modules(two))
    assert not set(modules(one)) & set(modules(two))


@pytest.mark.parametrize("prefix", ["3x", "a b", "_a", "a__b", "signal", "ü", "x" * 65])
def test_prefixes_that_are_no_identifier(prefix):
    with pytest.raises(ValueError, match=r"PREFIX = .* does not start an identifier: expected"):
        verilog(preset("tiny"), "tetra_multiplier", prefix=prefix)


def test_plain_text_is_equal_to_what_yosys_wrote(tmp_path):
    """Every module proven equal, register by register."""
    library = Library()
    top = library.convert(TOPS["tetra_engine"], preset("tiny"))
    raw = write_verilog(library.text, [top])[top]
    proven = prove_equal(renamed(raw), plain(raw, {}, {}, top), tmp_path)
    assert proven == len(re.findall("^module ", raw, re.M)) > 20


@pytest.mark.parametrize(("text", "context", "said"), [
    ("~c ? 1'h1 : 1'h0", 1, "~c"), ("~c ? 1'h1 : 1'h0", None, "~c"),
    ("~c ? 1'h1 : 1'h0", 8, "~c ? 1'h1 : 1'h0"),  # ~c of eight bits has seven more ones
    ("1'h0 | ~c", 8, "1'h0 | ~c"), ("(c == c) ? 1'h1 : 1'h0", 8, "c == c")])
def test_an_operand_is_not_widened(text, context, said):
    assert render(simplified(parse(text), Names({"c": (1, False)}), context)) == said


def test_a_changed_text_is_not_equal(tmp_path):
    raw = write_verilog(rtlil_of("tetra_multiplier"), ["tetra_multiplier"])["tetra_multiplier"]
    text = plain(raw, {}, {}, "tetra_multiplier")
    broken = text.replace(" & ", " | ", 1)
    assert broken != text
    with pytest.raises(RuntimeError, match="Yosys failed"):
        prove_equal(raw, broken, tmp_path)


def renamed(raw: str) -> str:
    """Yosys' text with plain names alone, so that the proof knows registers by their names."""
    found = []
    for module in re.findall(r"^module .*?^endmodule$", raw, re.M | re.S):
        body = read_module(module)
        plain_names(body)
        found.append(write_module(body, "", {}))
    return "\n".join(found)


def rtlil_of(top: str) -> str:
    library = Library()
    library.convert(TOPS[top], preset("tiny"))
    return library.text


def prove_equal(raw: str, text: str, folder) -> int:
    """RuntimeError unless all modules of two texts are; returns how many there are."""
    (folder / "named.v").write_text(raw)
    (folder / "plain.v").write_text(text)
    commands, names = [], re.findall(r"^module (\w+)", raw, re.M)
    for name in names:
        commands.append("design -reset")
        for file in ("named", "plain"):
            commands += [f"read_verilog {folder}/{file}.v", f"hierarchy -top {name}", "proc",
                         "memory", "opt_clean", f"rename {name} {file}", f"design -stash {file}"]
        commands += ["design -copy-from named named", "design -copy-from plain plain",
                     "equiv_make named plain both", "hierarchy -top both", "opt_expr",
                     "equiv_struct", "equiv_simple", "equiv_status -assert"]
    yosys(commands)
    return len(names)


def test_each_block_is_one_module():
    text = verilog_file(preset("base"), "tetra_engine").read_text()
    for block, count in {"mac_cell": 32, "rescale_lane": 4}.items():
        assert modules(text).count(f"tetra_engine_{block}") == 1
        assert len(re.findall(rf"^  tetra_engine_{block} \w+ \($", text, re.M)) == count


def test_generation_is_reproducible():
    """In another process too, where sets have another order."""
    program = ("from golden.config import preset; from hdl.emit.verilog import verilog; "
               "print(verilog(preset('tiny'), 'tetra_mac_tile', 'fields'), end='')")
    found = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True)
    assert found.stdout == verilog(preset("tiny"), "tetra_mac_tile", "fields")


def test_lint_can_fail(tmp_path):
    """A truncation, which no waiver covers, is reported."""
    source = verilog_file(preset("tiny"), "tetra_multiplier").read_text()
    broken = tmp_path / "tetra_multiplier.v"
    broken.write_text(source.replace("output wire signed [16:0] product",
                                     "output wire signed [14:0] product", 1))
    with pytest.raises(ToolError, match="Verilator lint of tetra_multiplier failed"):
        lint(broken, "tetra_multiplier")


def test_unknown_top_and_style():
    with pytest.raises(ValueError, match="unknown top 'tetra_gpu': expected one of tetra_mult"):
        verilog(preset("tiny"), "tetra_gpu")
    with pytest.raises(ValueError, match="PORTS = 'vhdl' is unknown: expected one of fields, pack"):
        verilog(preset("tiny"), "tetra_engine", "vhdl")


def test_configurations_by_text():
    found = parse_config("rows=4, cols=2,lanes=8,radices=2,stochastic=0,target=fpga")
    assert found == Config(4, 2, 8, radices=(2,), stochastic=False, target="fpga")
    assert parse_config("rows=1,cols=1,lanes=1,radices=4+2").radices == (4, 2)


@pytest.mark.parametrize(("text", "said"), [
    ("rows=3,cols=1,lanes=1", "CONFIG: rows = 3 is not a power of two: use 2 or 4"),
    ("rows=4", "CONFIG lacks cols, lanes"),
    ("rows", "'rows' is not understood: expected field=value.*pipeline: .*1..3"),
    ("rows=4,cols=4,lanes=4,speed=9", "'speed=9' is not understood"),
    ("rows=4,rows=4,cols=4,lanes=4", "'rows=4' comes second: rows = 4 was there"),
    ("rows=x,cols=4,lanes=4", "CONFIG: rows = 'x'"),
    ("rows=4,cols=4,lanes=4,radices=10", r"CONFIG: radices = \(10,\)"),
    ("rows=4,cols=4,lanes=4,serial=maybe", "CONFIG: serial = 'maybe'"),
])
def test_configurations_that_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse_config(text)

