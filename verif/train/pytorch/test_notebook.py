# SPDX-License-Identifier: Apache-2.0
"""The notebook of a first training: what is stored in it, and that its code still does that."""

import contextlib
import io
import json
import re
import sys

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: docs/training.md")

import matplotlib
import matplotlib.pyplot as plt

from tools.cache import ROOT

PATH = ROOT / "docs" / "first-training.ipynb"
NOTEBOOK = json.loads(PATH.read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
LARGEST = 400_000  # bytes


def source(cell: dict) -> str:
    return "".join(cell["source"])


def printed(cell: dict) -> str:
    """What a cell has written, as it is stored."""
    return "".join("".join(output["text"]) for output in cell["outputs"]
                   if output["output_type"] == "stream")


def shape(text: str) -> list[str]:
    """Words of an output, whatever its numbers: they hang on machine and length of training."""
    return re.sub(r"\d+(?:[.,]\d+)*", "0", text).split()


def test_it_is_stored_as_it_ran():
    assert 0 < len(CODE) <= 12 and PATH.stat().st_size < LARGEST
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    assert set(NOTEBOOK["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    for before, cell in zip([None, *NOTEBOOK["cells"]], NOTEBOOK["cells"], strict=False):
        assert cell["metadata"] == {}, "times and the like change with every run"
        if cell["cell_type"] == "code":
            assert before is not None and before["cell_type"] == "markdown"
            kinds = {output["output_type"] for output in cell["outputs"]}
            assert kinds <= {"stream", "display_data"}, "an error, or a value that nobody wanted"
            assert all(output.get("name") != "stderr" for output in cell["outputs"]), "a warning"
            assert bool(printed(cell)) == ("print(" in source(cell))
            pictures = ["image/png" in output.get("data", {}) for output in cell["outputs"]]
            assert any(pictures) == ("plt." in source(cell))


def test_it_tells_nothing_of_the_machine():
    text = "\n".join(source(cell) + (printed(cell) if cell in CODE else "")
                     for cell in NOTEBOOK["cells"])
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|usr|work|var|opt|mnt)\b|[A-Z]:\\", text)


def test_it_names_what_exists():
    prose = "\n".join(source(cell) for cell in NOTEBOOK["cells"] if cell not in CODE)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert links and all((PATH.parent / link).exists() for link in links)
    modules = re.findall(r"-m ([\w.]+)`", prose)
    files = re.findall(r"`([\w/]+\.py)`", prose)
    files += [name.replace(".", "/") + "/__main__.py" for name in modules]
    assert modules and all((ROOT / name).exists() for name in files)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"`make ([a-z-]+)", prose)) <= set(targets)


def test_its_code_prints_what_is_stored(monkeypatch):
    """Every cell, in order, with one epoch: the same words, and figures where there are any."""
    monkeypatch.chdir(PATH.parent)  # where Jupyter runs it
    monkeypatch.setattr(sys, "path", list(sys.path))
    matplotlib.use("Agg")
    names: dict = {"__name__": "__main__"}
    shortened = 0
    try:
        for cell in CODE:
            text, found = re.subn(r"^EPOCHS = \d+$", "EPOCHS = 1", source(cell), flags=re.M)
            shortened += found
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(text, f"{PATH.name}, cell {cell['execution_count']}", "exec"), names)
            assert shape(said.getvalue()) == shape(printed(cell)), "run the notebook anew"
            assert bool(plt.get_fignums()) == ("plt." in text)
            plt.close("all")
    finally:
        plt.close("all")
    assert shortened == 1
