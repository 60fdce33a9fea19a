# SPDX-License-Identifier: Apache-2.0
"""What the documentation names exists: tests of the testplan, files, targets, and the lock."""

import re
import subprocess
import tomllib

import pytest

from tools.cache import ROOT

PAGES = sorted(str(path.relative_to(ROOT)) for path in (
    *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.name != "CHANGELOG.md")
FOLDERS = ("golden", "tools", "hdl", "driver", "train", "synth", "verif")


def test_testplan_names_tests_that_exist():
    plan = (ROOT / "docs/verification.md").read_text()
    rows = re.findall(r"`(verif/[\w/]+\.py)(?:::(test_\w+))?` \|$", plan, re.M)
    assert len(rows) == sum(line.startswith("| ") for line in plan.splitlines()) - 1
    for file, name in rows:
        source = (ROOT / file).read_text()
        assert not name or f"def {name}(" in source, f"{file} has no {name}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page):
    """Paths in code marks (from the root, or a file beside the one named before), and links."""
    text = (ROOT / page).read_text()
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)}|docs)/[\w./*]*)`", text):
        assert list(ROOT.glob(name.rstrip("/"))), f"{page} names {name}, which does not exist"
    for link in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}: no such file"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_classes_and_modules_that_exist(page):
    """`MacTile`, `golden.gemm.gemm` and `Config.pipeline` in code marks are in the code."""
    code = "\n".join(path.read_text() for folder in FOLDERS
                     for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".cpp"))
    text = (ROOT / page).read_text()
    if not page.startswith("docs/history/"):  # which names what is gone
        for name in re.findall(r"`([A-Z]\w*[a-z]\w*)(?:\.\w+)*(?:\([^`]*\))?`", text):
            assert re.search(rf"\b{name}\b", code), f"{page} names {name}, which is nowhere"
    check_dotted_names(page, text)


def check_dotted_names(where, text: str) -> None:
    """AssertionError unless `golden.gemm.gemm` and the like name a module, and what is in it."""
    for name in re.findall(rf"`((?:{'|'.join(FOLDERS)})(?:\.\w+)+)`", text):
        parts = name.split(".")
        ends = [i for i in range(1, len(parts) + 1)
                if (ROOT / "/".join(parts[:i])).with_suffix(".py").exists()
                or (ROOT / "/".join(parts[:i])).is_dir()]
        module = (ROOT / "/".join(parts[:ends[-1]])).with_suffix(".py")
        inside = module.read_text() if module.exists() else ""
        assert all(re.search(rf"\b{part}\b", inside) for part in parts[ends[-1]:]), (
            f"{where} names {name}, which does not exist")


def test_docstrings_name_what_exists():
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            check_dotted_names(path, path.read_text())


def test_readme_names_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = "".join((ROOT / page).read_text() for page in PAGES)
    named = set(re.findall(r"`make ([a-z][a-z-]*)", text))
    assert named and named <= targets


def test_help_lists_every_target():
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, text=True, capture_output=True).stdout
    assert set(re.findall(r"^  ([a-z-]+) ", shown, re.M)) == set(phony)


def test_lock_has_every_pin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    pins = project["project"]["dependencies"] + groups["test"] + groups["files"]
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    assert set(pins) <= set(locked)
    pin = r"[\w.-]+==[\w.]+(; platform_machine == 'x86_64')?"
    assert all(re.fullmatch(pin, line) for line in locked[1:])
    optional = (ROOT / "requirements-torch.lock").read_text().splitlines()
    assert set(groups["torch"]) <= set(optional)
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in optional[1:])


def test_files_stay_short():
    folders = [path for path in ROOT.iterdir() if path.name not in (".venv", "build")]
    nested = [path for folder in folders for path in folder.rglob("*.py")]
    for path in (*ROOT.glob("*.py"), *nested):
        assert len(path.read_text().splitlines()) <= 400, f"{path} is too long"
