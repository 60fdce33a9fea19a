# SPDX-License-Identifier: Apache-2.0
"""Every preset and every top elaborates, is lint-clean, and matches its manifest."""

import json
import re

import pytest

from golden.config import PRESETS, preset
from hdl.emit.export import export, lint
from hdl.emit.verilog import TOPS, verilog, verilog_file
from tools.errors import ToolError
from tools.verilator import CONTROL


@pytest.mark.parametrize("name", PRESETS)
def test_export(name, tmp_path):
    files = export(preset(name), name, tmp_path)
    assert [f.name for f in files] == [*(f"{top}.v" for top in TOPS), CONTROL.name, "manifest.json"]
    manifest = json.loads(files[-1].read_text())
    assert manifest["config"] == json.loads(json.dumps(preset(name).as_dict()))
    for path in files[:-2]:
        text = path.read_text()
        assert text.startswith("// SPDX-License-Identifier: Apache-2.0")
        modules = re.findall(r"^module (\w+)\(", text, re.M)
        assert len(modules) == len(set(modules)) and path.stem in modules
        found = ports_of(text, path.stem)
        for port in manifest["tops"][path.stem]["ports"]:
            assert found.pop(port["name"]) == (port["direction"], port["width"])
        assert not found
        # every field whose name has an encoding is wide enough for it
        assert manifest["encodings"]["b_format"] == {"INT4": 0, "FP4_R4": 1, "FP4_R2": 2}


def ports_of(text: str, top: str) -> dict[str, tuple[str, int]]:
    body = text[text.index(f"module {top}("):]
    body = body[:body.index("endmodule")]
    found = {}
    for direction, msb, name in re.findall(
            r"^  (input|output)(?: signed)?(?: \[(\d+):0\])? (\w+);", body, re.M):
        found[name] = (direction, int(msb or 0) + 1)
    return found


def test_each_block_is_one_module():
    text = verilog_file(preset("base"), "tetra_engine").read_text()
    for block, count in {"tetra_mac_cell": 32, "tetra_rescale_lane": 4}.items():
        assert len(re.findall(rf"^module {block}\(", text, re.M)) == 1
        assert len(re.findall(rf"^  {block} \w+ \(", text, re.M)) == count


def test_generation_is_reproducible():
    assert verilog(preset("tiny"), "tetra_engine") == verilog(preset("tiny"), "tetra_engine")


def test_lint_can_fail(tmp_path):
    """A truncation, which no waiver covers, is reported."""
    source = verilog_file(preset("tiny"), "tetra_multiplier").read_text()
    broken = tmp_path / "tetra_multiplier.v"
    broken.write_text(source.replace("output signed [16:0] product;",
                                     "output signed [14:0] product;", 1))
    with pytest.raises(ToolError, match="Verilator lint of tetra_multiplier failed"):
        lint(broken, "tetra_multiplier")


def test_unknown_top():
    with pytest.raises(ValueError, match="unknown top 'tetra_gpu': expected one of tetra_mult"):
        verilog(preset("tiny"), "tetra_gpu")
