# SPDX-License-Identifier: Apache-2.0
"""Squares as bits to be added: a radix-4 Booth recoding that is folded.

With the digits d of x, and L the signed number that the bits of x below digit i make,
`x**2 = sum over i of 2 * 4**i * d * L + 16**i * d**2`: the products of digits i and j, and j and i,
are one of twice the weight, and L needs no adder. That is a third fewer bits than folding the
products of single bits, in half as many rows.
"""

from amaranth.hdl import Const, Module, Value

from hdl.arithmetic.booth import booth_digit, multiple
from hdl.arithmetic.columns import Columns


def square_digits(x) -> list:
    """The digits of the signed `x`, of an even width, the lowest first."""
    x = Value.cast(x)
    return [booth_digit(x[i - 1] if i else Const(0, 1), x[i], x[i + 1])
            for i in range(0, len(x), 2)]


def add_square(m: Module, columns: Columns, x, digits, name: str) -> int:
    """Adds the bits of the square of the signed `x`, which has these `square_digits`.

    Returns the constant that is still to be added: all squares' constants make one.
    """
    return sum(add_step(m, columns, x, 2 * i, digit, f"{name}_{2 * i}")
               for i, digit in enumerate(digits))


def add_step(m: Module, columns: Columns, x, i: int, digit, name: str) -> int:
    """What the digit of bits i and i + 1 adds to the square of the bits below it."""
    columns.add([digit.one], 2 * i)
    columns.add([digit.two], 2 * i + 2)
    if not i:
        return 0
    # the inverted sign bit counts 2**n more than the sign, which the constant takes back
    product = multiple(m, Value.cast(x)[:i], digit, name)
    # the later, the more bits a digit drives
    columns.add([*product[:-1], ~product[-1]], i + 1, i // 4)
    columns.add([digit.negative], i + 1)
    return -(1 << 2 * i + 1)
