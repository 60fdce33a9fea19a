# SPDX-License-Identifier: Apache-2.0
"""The registers of a core: what `registers.rdl` says, behind an AXI4-Lite slave."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import Config
from hdl.core.axi_lite import WIDTH, AxiLiteSlave, axi_lite_signature
from hdl.core.counters import Counters, counts_layout
from hdl.core.register_map import (
    ADDRESS_WIDTH,
    WORD_BYTES,
    OnWrite,
    Register,
    RegisterField,
    RegisterMap,
    register_map,
)
from hdl.library import place


class Registers(wiring.Component):
    """Storage, decoding and side effects of every register, made from its SystemRDL properties.

    Addresses, widths, reset values and kinds of access are those of `registers.rdl`, and so are the
    ports beside bus, irq, count and error_valid: each field that the hardware reads is an
    output, each that it writes an input. It is called after register and field; after the register
    alone where the field is called `value`, and after the pair where two registers are one 64-bit
    value.

    Members
    -------
    bus : In(`axi_lite_signature`), the AXI4-Lite slave.
    irq : Out(1), a level: 1 while a bit of interrupt_status is 1 that interrupt_enable has.
    count : In(`counts_layout`), by how much each counter increases in this cycle.
    control_enable : Out(1), descriptors are to be run.
    control_soft_reset : Out(1), for one cycle: end what is on the bus, then forget everything.
    control_acknowledge : Out(1), for one cycle, and only after one in which status_stopped was 1:
        go on behind the failed descriptor. status_stopped is to fall in the next cycle.
    status_idle, status_busy, status_stopped : In(1), what is read there. A rising edge of idle or
        stopped sets its bit of interrupt_status.
    interrupt_status_job : In(1), a job has ended that asks for an interrupt.
    error_valid : In(1), for one cycle: error_code, error_address and error_descriptor_index are
        kept, unless there is an error that has not been acknowledged.
    error_code : In(5), one of the codes in `registers.rdl`, not 0.
    error_descriptor_index : In(15), of the descriptor that failed.
    error_address : In(64), that the error is about, or 0.
    ring_base : Out(64), bits 7:0 are 0.
    ring_size_log2 : Out(4), not checked: 0 is no size.
    ring_tail_index : Out(15), not checked against the size.
    ring_head_index : In(15), what is read there.
    read_base, read_limit, write_base, write_limit : Out(64), the windows, limit included.

    Latency: a write acts on outputs 2 cycles after address and data were taken; see also
    `hdl.core.axi_lite.AxiLiteSlave` and `hdl.core.counters.Counters`.

    Raises ValueError if `registers.rdl` asks for what is not built here.
    """

    def __init__(self, config: Config):
        self.config = config
        self.map = register_map(config)
        for register, field in fields(self.map):
            check_field(register, field)
        super().__init__({
            "bus": In(axi_lite_signature(ADDRESS_WIDTH)),
            "irq": Out(1),
            "count": In(counts_layout(config)),
            "error_valid": In(1),
            **field_ports(self.map),
        })

    def elaborate(self, platform):
        m = Module()
        slave = place(m, platform, "slave", AxiLiteSlave(ADDRESS_WIDTH))
        counters = place(m, platform, "counters", Counters(self.config))
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)

        values = self._make_values(m)
        selected = Signal(len(self.map.registers))  # a bit for each register: write_address is it
        for bit, register in zip(selected, self.map.registers.values(), strict=True):
            m.d.comb += bit.eq(slave.write_address == register.address // WORD_BYTES)
            for field in register.fields.values():
                if field.stored and not register.external:
                    self._store(m, values, register, field, slave, slave.write & bit)
        m.d.comb += slave.write_error.eq(~selected.any())
        self._raise_interrupt(m, values)

        # Counters, of which the bus sees copies; what concerns them takes its time.
        first = next(iter(self.map.counters.values())).address // WORD_BYTES
        m.d.comb += [
            counters.count.eq(self.count),
            counters.snapshot.eq(values["counter_control.snapshot"]),
            counters.clear.eq(values["counter_control.clear"]),
            counters.read.eq(slave.read),
            counters.index.eq((slave.read_address - first) >> 1),  # two words each
            slave.hold.eq(counters.busy),
        ]
        self._read(m, values, slave, counters)
        return m

    def _make_values(self, m) -> dict:
        """What each field reads as, "register.field" -> value; connects the outputs to them."""
        values = {}
        for register, field in fields(self.map):
            key = f"{register.name}.{field.name}"
            if field.stored:
                values[key] = Signal(field.width, init=field.reset,
                                     name=f"{register.name}_{field.name}_kept")
            elif field.hardware_writes:
                values[key] = self._part(register, field)
            else:
                values[key] = Const(field.reset, field.width)
            if field.hardware_reads:
                m.d.comb += self._part(register, field).eq(values[key])
        return values

    def _store(self, m, values, register, field, slave, written):
        """What software and then, with precedence, hardware do to a field; `written` is a write to
        its register."""
        name = f"{register.name}_{field.name}"
        value = values[f"{register.name}.{field.name}"]
        references = {prop: values[key] for prop, key in field.references.items()}

        # by software
        m.d.sync += value.eq(0 if field.pulse else value)
        if "w" in field.access:
            allowed = written
            if "swwe" in references:
                allowed = allowed & references["swwe"]
            if "swwel" in references:
                allowed = allowed & ~references["swwel"]
            mask = slave.write_mask[field.low:field.low + field.width]
            data = slave.write_data[field.low:field.low + field.width] & mask
            with m.If(allowed):
                m.d.sync += value.eq(
                    value & ~data if field.on_write is OnWrite.CLEAR else
                    value | data if field.on_write is OnWrite.SET else
                    data if field.pulse else value & ~mask | data)

        # by hardware
        if "hwclr" in references:
            with m.If(references["hwclr"]):
                m.d.sync += value.eq(0)
        if field.captured:
            acknowledged = self.control_acknowledge
            with m.If(self.error_valid & (~values["error.code"].any() | acknowledged)):
                m.d.sync += value.eq(self._part(register, field))
        if field.interrupt:
            event = references["next"] if "next" in references else self._part(register, field)
            if field.rising:
                before = Signal(init=1, name=f"{name}_before")
                m.d.sync += before.eq(event)
                event = event & ~before
            if "hwset" in references:
                event = event | references["hwset"]
            with m.If(event):
                m.d.sync += value.eq(1)
        if "restored_by" in references:
            with m.If(references["restored_by"]):
                m.d.sync += value.eq(field.reset)

    def _raise_interrupt(self, m, values):
        """The interrupt: events that are kept and enabled."""
        raising = [values[f"{register.name}.{field.name}"] & values[field.references["enable"]]
                   for register, field in fields(self.map) if field.interrupt]
        m.d.comb += self.irq.eq(Cat(raising).any())

    def _read(self, m, values, slave, counters):
        """A cycle after the access: the word of a register, or half of a counter."""
        word = Signal(WIDTH)
        counter = Signal()
        high = Signal()
        error = Signal()
        with m.If(slave.read):
            m.d.sync += [
                word.eq(0),
                counter.eq(0),
                high.eq(slave.read_address[0]),
                error.eq(0),
            ]
            with m.Switch(slave.read_address):
                for register in self.map.registers.values():
                    with m.Case(register.address // WORD_BYTES):
                        m.d.sync += counter.eq(register.external)
                        if not register.external:
                            m.d.sync += word.eq(self._word(values, register))
                with m.Default():
                    m.d.sync += error.eq(1)
        half = Mux(high, counters.value[WIDTH:], counters.value[:WIDTH])
        m.d.comb += [
            slave.read_data.eq(Mux(counter, half, word)),
            slave.read_error.eq(error),
        ]

    def _word(self, values, register: Register):
        """What a register reads as; 0 where no field is, or one that cannot be read."""
        bits = Const(0, WIDTH)
        for field in register.fields.values():
            if "r" in field.access and not field.pulse:
                above = bits[field.low + field.width:]
                bits = Cat(bits[:field.low], values[f"{register.name}.{field.name}"], above)
        return bits

    def _part(self, register: Register, field: RegisterField):
        """The bits of a port that are a field."""
        port = getattr(self, port_name(register, field))
        if not register.pair:
            return port
        first = self.map[f"{register.pair}_low"].address
        low = 8 * (register.address - first) + field.low
        return port[low:low + field.width]


def fields(registers: RegisterMap):
    """(register, field) of all but the counters."""
    return [(register, field) for register in registers.registers.values()
            if not register.external for field in register.fields.values()]


def field_ports(registers: RegisterMap) -> dict:
    """The ports of all fields that the hardware reads or writes."""
    found = {}
    for register, field in fields(registers):
        width = 2 * WIDTH if register.pair else field.width
        if field.hardware_reads or field.hardware_writes:
            found[port_name(register, field)] = (Out if field.hardware_reads else In)(width)
    return found


def port_name(register: Register, field: RegisterField) -> str:
    if register.pair:
        return register.pair
    return register.name if field.name == "value" else f"{register.name}_{field.name}"


def check_field(register: Register, field: RegisterField) -> None:
    """ValueError if a field asks for what is not built here."""
    asks = field.node.get_property
    name = f"registers.rdl: {register.name}.{field.name}"
    if asks("onread") is not None:
        raise ValueError(f"{name}: onread is not built here: expected a field without side effects "
                         "of reads")
    if field.interrupt and (asks("precedence").name != "hw" or field.width != 1):
        raise ValueError(f"{name}: expected precedence = hw and one bit of an interrupt")
    if field.hardware_reads and field.hardware_writes:
        raise ValueError(f"{name}: hw = rw is not built here: expected hw = r or hw = w")
    if not field.stored and not field.hardware_writes and field.reset is None:
        raise ValueError(f"{name}: a constant without a value: expected a reset value")
