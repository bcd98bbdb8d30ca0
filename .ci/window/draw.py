"""Clients of the display with the standard library alone, for the calls that the window's tests make."""
import socket
import struct

from x11 import DEADLINE, Failure


class Draw:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb")

    def close(self):
        self.input.close()
        self.socket.close()

    def call(self, method, *params):
        """Sends one request and returns its answer. Parameters are integers and bytes."""
        self.send(method, *params)
        return self.answer()

    def send(self, method, *params):
        self.socket.sendall(b"\x94\x00\x01" + pack(method) + bytes([0x90 + len(params)]) + b"".join(map(pack, params)))

    def answer(self):
        message = self.value()
        if message[:2] != [1, 1] or message[2] is not None:
            raise Failure(f"the display answered {message}")
        return message[3]

    def value(self):
        """Reads one MessagePack value, of the forms that the server sends."""
        kind = self.read(1)[0]
        if kind < 0x80:
            return kind
        if kind >= 0xE0:
            return kind - 256
        if kind & 0xF0 == 0x80:
            return {self.value(): self.value() for _ in range(kind & 15)}
        if kind & 0xF0 == 0x90:
            return [self.value() for _ in range(kind & 15)]
        if kind & 0xE0 == 0xA0:
            return self.read(kind & 31).decode()
        sizes = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
        if kind in sizes:
            return self.number(sizes[kind])
        if kind in (0xC4, 0xC5, 0xC6):
            return self.read(self.number((">B", ">H", ">I")[kind - 0xC4]))
        if kind in (0xD9, 0xDA, 0xDB):
            return self.read(self.number((">B", ">H", ">I")[kind - 0xD9])).decode()
        if kind in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[kind]
        raise Failure(f"the display sent {kind:#x}, which is not expected here")

    def number(self, form):
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def read(self, count):
        data = self.input.read(count)
        if len(data) != count:
            raise Failure("the display closed the connection")
        return data


class Named(Draw):
    """A client that sends `hello` with the name of its display. Its requests are numbered, and drawing calls have no
    answer."""

    def __init__(self, address, name):
        super().__init__(address)
        hello = {"version": 1, "client": "draw.py", "display": name}
        self.socket.sendall(b"\x94\x00\x00\xa5hello\x91" + pack(hello))
        self.last = 0
        self.welcome = self.answer()
        if self.welcome.get("display") != name:
            raise Failure(f"the welcome does not name the display {name!r}: {self.welcome}")

    def draw(self, method, *params):
        """Makes a drawing call, and waits until it is executed."""
        self.send(method, *params)
        self.call("sync")

    def send(self, method, *params):
        self.last += 1
        head = b"\x94\x00" + pack(self.last) + pack(method)
        self.socket.sendall(head + bytes([0x90 + len(params)]) + b"".join(map(pack, params)))

    def answer(self):
        while (message := self.value())[0] == 2:
            pass
        if message[:2] != [1, self.last] or message[2] is not None:
            raise Failure(f"the display answered {message}")
        return message[3]


def pack(value):
    if isinstance(value, str):
        return bytes([0xA0 + len(value)]) + value.encode()
    if isinstance(value, dict):
        return bytes([0x80 + len(value)]) + b"".join(pack(key) + pack(value[key]) for key in value)
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    return b"\xd3" + struct.pack(">q", value)
