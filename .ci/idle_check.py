"""Measures an idle display server: memory, processor time, and the cost of idle connections.

    python3 idle_check.py PID HOST:PORT      run right after the server reports that it listens, before any client

Needs Linux and the msgpack package. Exits with a sentence and status 1 if a bound is exceeded.
"""
import socket
import struct
import sys
import time

import msgpack

from process import resident, ticks, wake_ups

RESIDENT = 15_000_000
PER_CONNECTION = 16 << 10
CONNECTIONS = 200
WATCHED = 2
# A timer at the rate of a monitor would cause 120; the system itself may cause a few.
WAKE_UPS = 10
BATCH = b"".join(struct.pack(">HHI", i % 200, i // 200, 0xFF0000FF) for i in range(8_000))


def idle(pid, when):
    before = ticks(pid), wake_ups(pid)
    time.sleep(WATCHED)
    used, woken = ticks(pid) - before[0], wake_ups(pid) - before[1]
    print(f"  {when}: {used} ticks of the processor and {woken} wake-ups in {WATCHED} s")
    if used > 0 or woken > WAKE_UPS:
        sys.exit(f"idle_check.py: {when}, the server is to use no processor time")


def connect(address):
    """Returns a connection that has drawn as much as a read buffer holds, and is now idle."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)), 20)
    connection.sendall(msgpack.packb([0, 1, "draw_pixels", [BATCH]]))
    answers = msgpack.Unpacker()
    while True:
        data = connection.recv(4096)
        answers.feed(data)
        for answer in answers:
            if answer != [1, 1, None, None]:
                sys.exit(f"idle_check.py: draw_pixels was answered with {answer!r}")
            return connection
        if not data:
            sys.exit("idle_check.py: the server closed the connection")


def main(pid, address):
    idle(pid, "before any client")
    alone = resident(pid)
    print(f"  resident: {alone / 1e6:.1f} MB")
    if alone >= RESIDENT:
        sys.exit(f"idle_check.py: an idle server is to have less than {RESIDENT / 1e6:.0f} MB resident")
    # The first clients cause one-time costs (pools, code that is paged in), which are not part of a connection's cost.
    warm = [connect(address) for _ in range(8)]
    before = resident(pid)
    connections = [connect(address) for _ in range(CONNECTIONS)]
    each = (resident(pid) - before) / CONNECTIONS
    print(f"  {len(connections)} idle connections: {each / 1024:.1f} KiB each")
    if each >= PER_CONNECTION:
        sys.exit(f"idle_check.py: an idle connection is to cost less than {PER_CONNECTION >> 10} KiB")
    idle(pid, f"with {len(warm) + len(connections)} idle clients")


main(int(sys.argv[1]), sys.argv[2])
