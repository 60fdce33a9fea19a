# SPDX-License-Identifier: Apache-2.0
"""Carry-save trees, prefix adders and shifters of the baselines."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

Columns = list[list[Value]]  # bits to be added, by weight


def named(m: Module, value: Value) -> Signal:
    """The value as a wire of its own, so that what uses it twice does not compute it twice."""
    wire = Signal(value.shape())
    m.d.comb += wire.eq(value)
    return wire


def and_array(a: Value, b: Value) -> Columns:
    """The partial products of unsigned a b."""
    columns: Columns = [[] for _ in range(len(a) + len(b))]
    for i in range(len(a)):
        for j in range(len(b)):
            columns[i + j].append(a[i] & b[j])
    return columns


def signed_columns(products: Sequence[tuple[Value, Value]]) -> Columns:
    """The bits of a sum of (sign, magnitude), a power of two of them, in two's complement, as wide
    as all of them need: -s = ~s - 1 at the weight above, and the ones of all in a constant."""
    width, lanes = len(products[0][1]), len(products)
    columns: Columns = [[] for _ in range(width + lanes.bit_length())]
    for sign, size in products:
        for weight in range(width):
            columns[weight].append(size[weight] ^ sign)
        columns[0].append(sign)
        columns[width].append(~sign)
    columns[-1].append(Const(1, 1))
    return columns


def compress(m: Module, columns: Columns) -> tuple[Value, Value]:
    """Two rows with the sum of the columns, modulo 2^len(columns): L. Dadda's tree (1965)."""
    for height in heights(columns):
        lower(m, columns, height)
    rows = [[column[row] if row < len(column) else Const(0, 1) for column in columns]
            for row in range(2)]
    return Cat(rows[0]), Cat(rows[1])


def heights(columns: Columns) -> list[int]:
    """How high Dadda's tree leaves the columns, level by level."""
    found = [2]
    while found[-1] < max(map(len, columns)):
        found.append(found[-1] * 3 // 2)
    return found[-2::-1] or found


def lower(m: Module, columns: Columns, height: int) -> None:
    """One level: the same sum, modulo 2^len(columns), in columns no higher than that."""
    carries: list[Value] = []
    for weight, column in enumerate(columns):
        bits, carries = column + carries, []
        while len(bits) > height:
            if len(bits) == height + 1:
                x, y = bits[:2]
                rest, total, carry = bits[2:], x ^ y, x & y
            else:
                x, y, z = bits[:3]
                half = named(m, x ^ y)
                rest, total, carry = bits[3:], half ^ z, (x & y) | (half & z)
            bits = [*rest, named(m, total)]
            carries.append(named(m, carry))
        columns[weight] = bits


def prefix(m: Module, x: Value, y: Value) -> tuple[list, list, list]:
    """Half sums, and generate and propagate of bits i..0 for every i (Sklansky 1960)."""
    half = [named(m, x[i] ^ y[i]) for i in range(len(x))]
    generate = [named(m, x[i] & y[i]) for i in range(len(x))]
    propagate = list(half)
    span = 1
    while span < len(x):
        for i in range(len(x)):
            if i & span:
                low = (i & -span) - 1  # the last bit of the group below
                generate[i], propagate[i] = (
                    named(m, generate[i] | (propagate[i] & generate[low])),
                    named(m, propagate[i] & propagate[low]))
        span *= 2
    return half, generate, propagate


def add(m: Module, x: Value, y: Value) -> Value:
    """x + y, modulo 2^len(x)."""
    half, generate, _ = prefix(m, x, y)
    return Cat(half[0], *(h ^ g for h, g in zip(half[1:], generate, strict=False)))


def magnitude(m: Module, x: Value, y: Value, subtract: Value, sticky: Value,
              ) -> tuple[Value, Value, Value]:
    """|x + y|, where y is inverted to be subtracted; `sticky` : y has more below it.

    Returns that, whether a difference changed its sign, and whether it is one of equals. The carry
    out of x - y says that y is the smaller, and completes its two's complement; without it the
    one's complement is right. One adder is enough so.
    """
    half, generate, propagate = prefix(m, x, y)
    carry = named(m, generate[-1] & subtract & ~sticky)
    invert = named(m, subtract & ~generate[-1])
    carries = [carry, *(a | (b & carry) for a, b in zip(generate, propagate, strict=True))]
    return (Cat(h ^ a ^ invert for h, a in zip(half, carries, strict=False)), invert,
            propagate[-1])


def shift_right(m: Module, value: Value, amount: Value, below: int) -> tuple[Value, Value]:
    """value, with `below` places behind it, shifted right; and whether a one fell out of those.

    Short shifts come first, while the vector is still narrow.
    """
    sticky = Const(0, 1)
    extra = 0  # places behind the value so far
    for k, bit in enumerate(amount):
        n = 1 << k
        grown = Cat(Const(0, n), value)
        value = named(m, Mux(bit, Cat(value, Const(0, n)), grown))
        extra += n
        if extra > below:
            drop = extra - below
            sticky, value, extra = sticky | value[:drop].any(), value[drop:], below
    return value, sticky


def shift_down(m: Module, value: Value, amount: Value) -> Value:
    """value shifted right by an unsigned amount; what falls out is lost."""
    steps = (len(value) - 1).bit_length()
    for k, bit in enumerate(amount[:steps]):
        value = named(m, Mux(bit, value >> (1 << k), value))
    if len(amount) > steps:
        value = named(m, value & ~amount[steps:].any().replicate(len(value)))
    return value


def normalise(m: Module, value: Value, sticky: Value, keep: int, limit: Value | None, cut):
    """value shifted left by its leading zeros, at most by `limit`.

    Returns its `keep` upper bits, whether a one is below them (or `sticky`), and the amount.
    Coarse shifts come first, each of which lets go of the places that no later shift can bring
    up. `cut(n, *values)` registers what is behind the shift by n where the pipeline is cut there.
    """
    free, amount = Const(limit is None, 1), []
    limit = Const(0, 1) if limit is None else limit
    for k in reversed(range((len(value) - 1).bit_length())):
        n = 1 << k
        zeros = named(m, ~value[-n:].any())
        take = zeros
        if not isinstance(limit, Const):
            # a shift that the limit allowed and the value did not need: less than n is left to do
            take = named(m, zeros & (free | limit[k]))
            free = named(m, free | (limit[k] & ~zeros))
        value = Mux(take, Cat(Const(0, n), value[:-n]), value)
        drop = max(0, len(value) - (keep + n - 1))
        value = named(m, value)
        sticky, value = sticky | value[:drop].any(), value[drop:]
        value, sticky, free, limit, take, *amount = cut(
            n, value, sticky, free, limit, take, *amount)
        amount = [take, *amount]
    return value, sticky, Cat(amount)
