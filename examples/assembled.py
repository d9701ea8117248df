"""A packet filter written in Python: no C, no compiler. Usage: assembled.py [PORT].

It drops UDP packets to the port and counts them. Then four programs that cannot work are refused
before the kernel sees them.
"""

import struct
import sys

import skep
from skep import asm
from skep.asm import R0, R1, R2, R3, R4, R5, R10
from skep.kernel.constants import MapType

DROP, PASS = 1, 2


def udp_filter(port: int, dropped: skep.Map) -> list[asm.Source]:
    out = asm.Label("out")
    return [
        asm.mov(R0, PASS),
        "; r2 is the start of the packet, r3 its end",
        asm.load(4, R2, R1, 0),
        asm.load(4, R3, R1, 4),
        "; Ethernet, IPv4 and UDP headers take 42 bytes",
        asm.mov(R4, R2),
        asm.add(R4, 42),
        asm.jump_if(R4, ">", R3, out),
        "; is it IPv4, UDP, and for this port?",
        asm.load(2, R5, R2, 12),
        asm.to_be(R5, 16),
        asm.jump_if(R5, "!=", 0x0800, out),
        asm.load(1, R5, R2, 23),
        asm.jump_if(R5, "!=", 17, out),
        asm.load(2, R5, R2, 36),
        asm.to_be(R5, 16),
        asm.jump_if(R5, "!=", port, out),
        "; count it and drop it",
        asm.load_map_value(R1, dropped),
        asm.mov(R2, 1),
        asm.atomic_add(8, R1, 0, R2),
        asm.mov(R0, DROP),
        out,
        asm.exit_(),
    ]


def packet(protocol: int, port: int) -> bytes:
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 28, 0, 0, 64, protocol, 0, 0x7F000001, 0x7F000001)
    return bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", 4711, port, 8, 0)


port = int(sys.argv[1]) if len(sys.argv) > 1 else 53
counter = skep.MapSpec(name="dropped", type=MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
with counter.create() as dropped:
    spec = skep.ProgramSpec(name="filter", type="xdp", instructions=udp_filter(port, dropped))
    print(*spec.disassemble(source=False), sep="\n")
    with spec.load() as program:
        for name, protocol in (("udp", 17), ("tcp", 6)):
            for to in (port, port + 1):
                verdict = program.test_run(packet(protocol, to)).retval
                print(f"{name} to port {to}: {'dropped' if verdict == DROP else 'passed'}")
    print(int.from_bytes(dropped[0], sys.byteorder), "dropped")

REFUSED: dict[str, list[asm.Source]] = {
    "lost": [asm.mov(R0, PASS), asm.exit_(), asm.mov(R0, DROP), asm.exit_()],
    "stack": [
        asm.mov(R2, R10),
        asm.add(R2, -600),
        asm.store(8, R2, 0, R1),
        asm.mov(R0, PASS),
        asm.exit_(),
    ],
    "helper": [asm.call("probe_write_user"), asm.mov(R0, PASS), asm.exit_()],
    "endless": ["again:", asm.mov(R0, PASS), asm.jump("again")],
}
for name, instructions in REFUSED.items():
    try:
        skep.ProgramSpec(name=name, type="xdp", instructions=instructions).load()
    except skep.errors.PrecheckError as error:
        print(error.message)
