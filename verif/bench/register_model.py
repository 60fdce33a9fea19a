# SPDX-License-Identifier: Apache-2.0
"""What registers do, one access after the other: the model that their bench compares with.

It shares the SystemRDL source with the RTL, and nothing of how the RTL is made.
"""

from hdl.core.register_map import OnWrite, Register, RegisterField, RegisterMap

OKAY, SLVERR = 0, 2


class RegisterModel:
    """Registers without counters; the inputs of the hardware start at 0.

    Members
    -------
    values : "register.field" -> what it reads as, pulses last for the write itself.
    pulses : how often each pulse has been 1.
    """

    def __init__(self, registers: RegisterMap):
        self.map = registers
        self.at = {register.address: register for register in registers.registers.values()}
        self.fields: dict[str, tuple[Register, RegisterField]] = {
            f"{register.name}.{field.name}": (register, field)
            for register in self.at.values() if not register.external
            for field in register.fields.values()}
        self.pulses = {key: 0 for key, (_, field) in self.fields.items() if field.pulse}
        self.values = {key: 0 for key in self.fields}
        self.reset()

    def reset(self):
        """The reset input: what is kept becomes what the source says; inputs stay."""
        for key, (_, field) in self.fields.items():
            if field.reset is not None:
                self.values[key] = field.reset

    def read(self, address: int) -> tuple[int, int]:
        """The response and the data."""
        register = self.at.get(address & ~3)
        if register is None:
            return SLVERR, 0
        return OKAY, sum(self.values[f"{register.name}.{field.name}"] << field.low
                         for field in register.fields.values() if "r" in field.access)

    def write(self, address: int, data: int, strobe: int = 0b1111) -> int:
        """The response."""
        register = self.at.get(address & ~3)
        if register is None:
            return SLVERR
        mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
        for field in register.fields.values():
            if "w" in field.access and self._allowed(field):
                self._write(f"{register.name}.{field.name}", field, field.of(data & mask),
                            field.of(mask))
        return OKAY

    def _allowed(self, field: RegisterField) -> bool:
        return all(bool(self.values[field.references[name]]) == wanted
                   for name, wanted in (("swwe", True), ("swwel", False))
                   if name in field.references)

    def _write(self, key: str, field: RegisterField, data: int, mask: int):
        if field.pulse:
            self.pulses[key] += data
            if data:
                self._pulse(key)
        elif field.on_write is OnWrite.CLEAR:
            self.values[key] &= ~data
        elif field.on_write is OnWrite.SET:
            self.values[key] |= data
        else:
            self.values[key] = self.values[key] & ~mask | data

    def _pulse(self, cause: str):
        """What a field that is 1 for a cycle does to others."""
        for key, (_, field) in self.fields.items():
            for name, value in (("hwclr", 0), ("hwset", 1), ("restored_by", field.reset)):
                if field.references.get(name) == cause:
                    self.values[key] = value

    def drive(self, key: str, value: int):
        """An input of the hardware changes, or for an event is 1 for a cycle."""
        _, field = self.fields[key]
        if field.interrupt:
            self.values[key] |= value
            return
        rises = value and not self.values[key]
        self.values[key] = value
        for other, (_, field) in self.fields.items():
            if field.references.get("next") == key and rises:
                self.values[other] = 1

    def error(self, **given: int):
        """The hardware reports an error: port -> value."""
        if not self.values["error.code"]:
            for key, (register, field) in self.fields.items():
                if field.captured:
                    self.values[key] = _part(given, register, field)

    def outputs(self) -> dict[str, int]:
        """Port -> value, pulses left out."""
        found: dict[str, int] = {}
        for key, (register, field) in self.fields.items():
            if field.hardware_reads and not field.pulse:
                port, low = place(register, field)
                found[port] = found.get(port, 0) | self.values[key] << low
        found["irq"] = int(any(self.values[key] and self.values[field.references["enable"]]
                               for key, (_, field) in self.fields.items() if field.interrupt))
        return found


def place(register: Register, field: RegisterField) -> tuple[str, int]:
    """The port of a field and its lowest bit there."""
    if register.pair:
        return register.pair, field.low + 32 * register.name.endswith("_high")
    if field.name == "value":
        return register.name, 0
    return f"{register.name}_{field.name}", 0


def _part(given: dict[str, int], register: Register, field: RegisterField) -> int:
    port, low = place(register, field)
    return given[port] >> low & (1 << field.width) - 1
