# SPDX-License-Identifier: Apache-2.0
"""A second core in plain Python integers, one element at a time, and random jobs for both.

It reads the words of a descriptor at literal places and knows nothing of `golden.core`. Only the
rounding by random words is golden's own: what is checked here is which word is whose.
"""

import struct
from fractions import Fraction

import numpy as np

from golden import random_words
from golden.config import Config
from golden.descriptor import Descriptor
from golden.dyadic import Dyadic
from golden.formats import FORMATS, FP4_R4, Phase
from golden.rescale import Rescale, rescale
from verif.golden.oracles import LOGS, MAC, clamp, nearest_code, rescaled

ENCODED = {fmt.encoding: fmt for fmt in FORMATS.values()}


def saturate(value: int) -> int:
    return clamp(value, -(2**31), 2**31 - 1)


class SlowCore:
    """One descriptor on `image`, a bytearray whose first byte has the address `base`.

    `overflow` says whether a sum left 32 bits; results are then of no consequence.
    """

    def __init__(self, config: Config, image: bytearray, base: int, descriptor: bytes):
        self.config, self.image, self.base = config, image, base
        self.words = struct.unpack("<64I", descriptor)
        self.overflow = False
        self.m, self.n, self.k = self.words[1:4]
        self.fmt = ENCODED[self.bits(5, 24, 3)]
        if self.bits(0, 8, 4) < 2:
            for element in range(self.words[4]):
                self.element(element)

    def bits(self, word: int, low: int, width: int = 1, signed: bool = False) -> int:
        value = self.words[word] >> low & (1 << width) - 1
        return value - (1 << width) if signed and value >> width - 1 else value

    def at(self, address_word: int, stride_word: int | None, batch_word: int | None, e: int,
           row: int) -> int:
        """Index into the image of the first byte of a row."""
        address = self.words[address_word] + (self.words[address_word + 1] << 32)
        address += row * self.words[stride_word] if stride_word else 0
        return address + (e * self.words[batch_word] if batch_word else 0) - self.base

    def word(self, index: int) -> int:
        return int.from_bytes(self.image[index : index + 4], "little", signed=True)

    def put_word(self, index: int, value: int) -> None:
        self.image[index : index + 4] = value.to_bytes(4, "little", signed=True)

    def code(self, index: int, place: int) -> int:
        return self.image[index + place // 2] >> 4 * (place % 2) & 15

    def sum32(self, *values: int) -> int:
        total = sum(values)
        self.overflow |= saturate(total) != total
        return saturate(total)

    def a(self, e: int, i: int, k: int) -> int:
        row, place = (k, i) if self.bits(0, 15) else (i, k)
        code = self.code(self.at(12, 32, 40, e, row), place)
        return code - 16 if self.bits(0, 22) and code > 7 else code

    def b(self, e: int, j: int, k: int) -> int:
        row, place = (k, j) if self.bits(0, 16) else (j, k)
        code = self.code(self.at(14, 33, 41, e, row), place)
        kind = self.bits(0, 23, 2)
        if kind == 0:
            return code - 16 if code > 7 else code
        return MAC["FP4_R4" if kind == 1 else "FP4_R2"][code]

    def element(self, e: int) -> None:
        values = [[self.value(e, i, j) for j in range(self.n)] for i in range(self.m)]
        for i, row in enumerate(values if self.bits(0, 19) else []):
            for j in range(self.n):
                line, bit = (j, i) if self.bits(0, 25) else (i, j)
                byte = self.image[self.at(24, 37, 46, e, line) + bit // 8]
                row[j] = row[j] if byte >> bit % 8 & 1 else 0
        if self.bits(5, 27):
            results = self.random_results(values, (self.words[6] + e) % 2**32)
        else:
            results = [[self.result(value) for value in row] for row in values]
        self.store(e, results)

    def value(self, e: int, i: int, j: int) -> int:
        """Of one element of the result, with bias."""
        bias = self.word(self.at(22, None, 45, e, 0) + 4 * j) if self.bits(0, 18) else 0
        if self.bits(0, 8, 4) == 1:
            return self.sum32(self.word(self.at(20, 36, 44, e, i) + 4 * j), bias)
        a_zero = self.bits(7, 16, 8, signed=True)
        chunks = [range(start, min(self.k, start + self.config.depth))
                  for start in range(0, self.k, self.config.depth)]
        total = None
        for chunk in chunks:
            a, b = [self.a(e, i, k) for k in chunk], [self.b(e, j, k) for k in chunk]
            first = bias if len(chunks) == 1 else 0
            added = self.sum32(first, -a_zero * sum(b))
            part = self.sum32(sum(x * y for x, y in zip(a, b, strict=True)), added)
            total = part if total is None else self.sum32(total, part)
        if len(chunks) > 1 and not self.bits(0, 14):
            self.put_word(self.at(30, 39, None, 0, i) + 4 * j, total)
            total = self.sum32(total, bias)
        return total

    def result(self, value: int) -> tuple[list[int], bool]:
        """Codes, one or two, and the bit of the clip mask."""
        multiplier, shift = self.bits(5, 0, 16), self.bits(5, 16, 6)
        if self.fmt.name.startswith("FP4"):
            exact = Fraction(value * multiplier, 2**shift)
            return [nearest_code(exact, levels, ratio) for fmt, phase, levels, ratio in LOGS
                    if fmt == self.fmt], False
        zero_point = self.bits(7, 0, 16, signed=True)
        code, inside = rescaled(value, multiplier, shift, zero_point, self.fmt)
        return [code], inside

    def random_results(self, values, seed: int):
        """Strip by strip, block by block, row by row: every row takes the next words."""
        rows, cols, strip = self.config.rows, self.config.cols, self.config.strip
        words, turn = np.zeros((self.m, self.n), np.int64), 0
        for left in range(0, self.n, strip):
            for top in range(0, self.m, rows):
                for column in range(left, min(left + strip, self.n), cols):
                    for row in range(top, min(top + rows, self.m)):
                        line = random_words.words(seed, np.array([turn]), cols)[0]
                        width = min(cols, self.n - column)
                        words[row, column : column + width] = line[:width]
                        turn += 1
        done = rescale(np.array(values), Rescale(
            self.fmt, Dyadic(self.bits(5, 0, 16), self.bits(5, 16, 6)),
            self.bits(7, 0, 16, signed=True), seed), words=words)
        return [[([int(done.codes[i, j])] + ([] if done.odd is None else [int(done.odd[i, j])]),
                  done.mask is not None and bool(done.mask[i, j])) for j in range(self.n)]
                for i in range(self.m)]

    def store(self, e: int, results) -> None:
        turned = self.bits(0, 17)
        for phase in range(2 if self.fmt == FP4_R4 else 1):
            places = (18, 35, 43) if phase == Phase.ODD else (16, 34, 42)
            for row in range(self.n if turned else self.m):
                index = self.at(*places, e, row)
                width = self.m if turned else self.n
                codes = [(results[j][row] if turned else results[row][j])[0][phase]
                         for j in range(width)]
                if self.fmt.name == "INT32":
                    for j, code in enumerate(codes):
                        before = self.word(index + 4 * j) if self.bits(0, 14) else 0
                        self.put_word(index + 4 * j, self.sum32(before, code))
                    continue
                codes += [0] * (width % 2)
                for j in range(0, len(codes), 2):
                    self.image[index + j // 2] = codes[j] & 15 | (codes[j + 1] & 15) << 4
        for i in range(self.m if self.bits(0, 20) else 0):
            index = self.at(26, 38, 47, e, i)
            for place in range(-(-self.n // 8)):
                inside = [results[i][j][1] for j in range(8 * place, min(8 * place + 8, self.n))]
                self.image[index + place] = sum(bit << at for at, bit in enumerate(inside))


def draw(rng: np.random.Generator, config: Config, **given) -> tuple[Descriptor, int, int]:
    """A random job that no core refuses, without adapt: descriptor, first address of memory, and
    how many bytes it has. Tensors lie at any alignment, with gaps, in any order."""
    op = given.get("op", int(rng.random() < 0.3))
    gemm = op == 0
    fmt = int(rng.choice([each for each, found in ENCODED.items()
                          if getattr(found, "radix", 4) in config.radices]))
    int32, code_int = fmt == 3, fmt < 3
    m, n = (int(v) for v in rng.choice([1, 2, 3, 5, 8, 9, 17, 26], 2))
    k = int(rng.integers(1, 3 * config.depth)) if gemm and rng.random() < 0.5 else int(gemm)
    batch, flag = int(rng.choice([1, 1, 2, 3])), lambda p=0.5: bool(rng.random() < p)
    values = {
        "op": op, "m": m, "n": n, "k": k, "batch": batch, "format": fmt,
        "accumulate": int32 and gemm and flag(), "transpose_a": gemm and flag(),
        "transpose_b": gemm and flag(), "transpose_c": flag(), "bias": flag(), "mask_in": flag(),
        "mask_out": code_int and flag(), "a_signed": flag(),
        "b_format": int(rng.choice([0] + [{4: 1, 2: 2}[r] for r in config.radices])),
        "multiplier": int(rng.integers(32768, 65536)), "shift": int(rng.integers(12, 34)),
        "stochastic": not int32 and config.stochastic and flag(0.3),
        "seed": int(rng.integers(2**32)) if flag() else 2**32 - 1,
        "zero_point": int(rng.integers(-9, 9)) if code_int else 0,
        "a_zero": int(rng.integers(-128, 128)) if gemm and flag() else 0, **given,
    }
    if int32 and flag(0.3):
        values.update(multiplier=32768, shift=15)
    if values["accumulate"]:
        values["transpose_c"] = False
        if k > config.depth:
            values.update(multiplier=32768, shift=15, bias=False, mask_in=False)
    values["transpose_mask"] = values["mask_in"] and flag()
    d = Descriptor(**values)
    base = int(rng.integers(2**40)) * 256
    places, at = {}, base + int(rng.integers(64))
    for tensor in rng.permutation(["a", "b", "c", "c_odd", "x", "bias", "mask_in", "mask_out",
                                   "scratch"]):
        count, size, word = _extent(d, tensor)
        at += int(rng.integers(0, 70))
        at += -at % 4 if word else 0
        stride = size + int(rng.integers(0, 9)) * (4 if word else 1)
        step = (count - 1) * stride + size + int(rng.integers(0, 9)) * (4 if word else 1)
        places[f"{tensor}_address"] = at
        places[f"{tensor}_stride"] = stride
        places[f"{tensor}_batch_stride"] = step
        at += step * batch
    for name in ("bias_stride", "scratch_batch_stride"):
        del places[name]
    return Descriptor(**values, **places), base, at + int(rng.integers(64)) - base


def _extent(d: Descriptor, tensor: str) -> tuple[int, int, bool]:
    """Rows, bytes per row, and whether they are words."""
    if tensor in ("a", "b"):
        wide = d.m if tensor == "a" else d.n
        turned = d.transpose_a if tensor == "a" else d.transpose_b
        return (d.k, (wide + 1) // 2, False) if turned else (wide, (d.k + 1) // 2, False)
    if tensor in ("c", "c_odd"):
        rows, columns = (d.n, d.m) if d.transpose_c else (d.m, d.n)
        return (rows, 4 * columns, True) if d.format == 3 else (rows, (columns + 1) // 2, False)
    if tensor == "mask_in" and d.transpose_mask:
        return d.n, (d.m + 7) // 8, False
    if tensor.startswith("mask"):
        return d.m, (d.n + 7) // 8, False
    return (1 if tensor == "bias" else d.m), 4 * d.n, True


def fill(rng: np.random.Generator, d: Descriptor, base: int, size: int) -> np.ndarray:
    """Memory of random bytes, where words are mostly small enough not to overflow."""
    image = rng.integers(0, 256, size, dtype=np.uint8)
    spread = int(rng.choice([12, 20, 26, 31], p=[0.3, 0.4, 0.25, 0.05]))
    for tensor in ("x", "bias") + (("c",) if d.format == 3 else ()):
        for element in range(d.batch):
            for row in range(_extent(d, tensor)[0]):
                address, stride = d.rows_of(tensor, element)
                start, wide = address + row * stride - base, _extent(d, tensor)[1]
                words = rng.integers(-(2**spread), 2**spread, wide // 4).astype("<i4")
                image[start : start + wide] = words.view(np.uint8)
    return image
