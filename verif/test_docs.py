# SPDX-License-Identifier: Apache-2.0
"""What the documentation names exists: tests of the testplan, files, targets, and the lock."""

import re
import subprocess
import tomllib

import pytest

from tools.cache import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/fpga.md",
         "docs/synthesis.md", "docs/verification.md"]


def test_testplan_names_tests_that_exist():
    plan = (ROOT / "docs/verification.md").read_text()
    rows = re.findall(r"`(verif/[\w/]+\.py)(?:::(test_\w+))?` \|$", plan, re.M)
    assert len(rows) == sum(line.startswith("| ") for line in plan.splitlines()) - 1
    for file, name in rows:
        source = (ROOT / file).read_text()
        assert not name or f"def {name}(" in source, f"{file} has no {name}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page):
    text = (ROOT / page).read_text()
    names = re.findall(r"`((?:golden|hdl|verif|train|docs)/[\w./]+)`", text)
    names += [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    for name in names:
        base = (ROOT / page).parent if not (ROOT / name).exists() else ROOT
        assert (base / name).exists(), f"{page} names {name}, which does not exist"


def test_readme_names_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = "".join((ROOT / page).read_text() for page in PAGES)
    named = set(re.findall(r"`make ([a-z-]+)", text))
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


def test_files_stay_short():
    folders = [path for path in ROOT.iterdir() if path.name not in (".venv", "build")]
    nested = [path for folder in folders for path in folder.rglob("*.py")]
    for path in (*ROOT.glob("*.py"), *nested):
        assert len(path.read_text().splitlines()) <= 400, f"{path} is too long"
