"""A minimal X11 client with the standard library alone: finds a window by its title, resizes it, moves the pointer,
closes and destroys the window, and reads the screen that `Xvfb -fbdir` keeps in a file.

The numbers are those of the X protocol, version 11: https://www.x.org/releases/current/doc/xproto/x11protocol.html
"""
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

# Far longer than anything here takes, so that a hang causes a failure instead of an endless wait.
DEADLINE = 20


class Failure(Exception):
    pass


def until(what, look, deadline=DEADLINE, pause=0.004):
    """Calls `look` until it returns a true value, and returns that value."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {deadline} s")
        time.sleep(pause)


class Screen:
    """A temporary Xvfb, and a connection to it."""

    def __init__(self, directory, width, height, depth=24, *options):
        self.directory, self.width, self.height = directory, width, height
        reading, writing = os.pipe()
        # Without -noreset it restarts when its last client leaves, and refuses clients that connect at that moment.
        with open(os.path.join(directory, "xvfb.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x{depth}",
                 "-nolisten", "tcp", "-noreset", "-fbdir", directory, *options], pass_fds=[writing], stdout=log, stderr=log)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.number = pipe.readline().strip()
        if not self.number:
            raise Failure("Xvfb did not start: " + open(os.path.join(directory, "xvfb.log")).read())
        self.display = f":{self.number}"
        self._connect()
        with open(os.path.join(directory, "Xvfb_screen0"), "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        header = struct.unpack(">25I", self.map[:100])
        size, version, order, bits, stride, masks, colors = (
            header[0], header[1], header[7], header[11], header[12], header[14:17], header[19])
        if (version, order) != (7, 0) or depth == 24 and (bits, masks) != (32, (0xFF0000, 0xFF00, 0xFF)):
            raise Failure(f"the screen has a format that is not known here: {header}")
        self.start, self.stride, self.bytes, self.masks = size + 12 * colors, stride, bits // 8, masks

    def freeze(self):
        """Stops the X server, so that it does not respond, as behind a lost network."""
        self.process.send_signal(signal.SIGSTOP)
        until("Xvfb to stand still", lambda: open(f"/proc/{self.process.pid}/stat").read().rsplit(")")[1].split()[0] == "T")

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.socket.close()
        self.thaw()
        self.process.terminate()
        self.process.wait(DEADLINE)

    def row(self, x, y, width):
        """Returns pixels of the screen; at depth 24 as bytes B, G, R and one unused."""
        at = self.start + y * self.stride + x * self.bytes
        return self.map[at:at + width * self.bytes]

    # The wire ---------------------------------------------------------------------------------------------------------

    def _connect(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(f"/tmp/.X11-unix/X{self.number}")
        self.socket.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        status, length = struct.unpack("<BxxxxxH", self._read(8))
        setup = self._read(length * 4)
        if status != 1:
            raise Failure(f"the X server refused: {setup}")
        vendor, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
        self.root = struct.unpack_from("<I", setup, 32 + (vendor + 3) // 4 * 4 + formats * 8)[0]
        self.context = struct.unpack_from("<I", setup, 4)[0]
        self.sequence = 0

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Failure("the X server closed the connection")
            data += more
        return data

    def _send(self, opcode, detail, body=b""):
        body += bytes(-len(body) % 4)
        self.socket.sendall(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)
        self.sequence = (self.sequence + 1) % 65536

    def _ask(self, opcode, detail, body=b""):
        """Returns the reply, or None for an error: a window may disappear at any time."""
        self._send(opcode, detail, body)
        while True:
            message = self._read(32)
            kind, sequence = message[0], struct.unpack_from("<H", message, 2)[0]
            if kind == 1:
                message += self._read(struct.unpack_from("<I", message, 4)[0] * 4)
            if kind in (0, 1) and sequence == self.sequence:
                return message if kind == 1 else None

    def atom(self, name):
        reply = self._ask(16, 0, struct.pack("<HH", len(name), 0) + name.encode())
        return struct.unpack_from("<I", reply, 8)[0]

    # Windows ----------------------------------------------------------------------------------------------------------

    def title(self, window):
        # GetProperty of WM_NAME (39), any type.
        reply = self._ask(20, 0, struct.pack("<IIIII", window, 39, 0, 0, 1024))
        if reply is None:
            return None
        length = struct.unpack_from("<I", reply, 16)[0]
        return reply[32:32 + length].decode("utf-8", "replace")

    def windows(self):
        reply = self._ask(15, 0, struct.pack("<I", self.root))
        return struct.unpack_from(f"<{struct.unpack_from('<H', reply, 16)[0]}I", reply, 32)

    def is_seen(self, window):
        reply = self._ask(3, 0, struct.pack("<I", window))
        return reply is not None and reply[26] == 2

    def find(self, start):
        """Returns the first visible window whose title begins with `start`, as soon as there is one."""
        def look():
            return next((w for w in self.windows() if (self.title(w) or "").startswith(start) and self.is_seen(w)), None)
        return until(f"a window {start!r}", look)

    def place(self, window):
        """Returns left, top, width and height."""
        reply = self._ask(14, 0, struct.pack("<I", window))
        return None if reply is None else struct.unpack_from("<hhHH", reply, 12)

    def resize(self, window, width, height):
        self._send(12, 0, struct.pack("<IHxxII", window, 4 | 8, width, height))

    def move(self, window, x, y):
        self._send(12, 0, struct.pack("<IHxxII", window, 1 | 2, x, y))

    def raise_window(self, window):
        self._send(12, 0, struct.pack("<IHxxI", window, 64, 0))

    def point(self, window, x, y):
        self._send(41, 0, struct.pack("<IIhhHHhh", 0, window, 0, 0, 0, 0, x, y))

    def hide(self, window):
        self._send(10, 0, struct.pack("<I", window))

    def show(self, window):
        self._send(8, 0, struct.pack("<I", window))

    def destroy(self, window):
        self._send(4, 0, struct.pack("<I", window))

    def close(self, window):
        """Does what a window manager does when its user clicks the close button (ICCCM, 4.1.2.7)."""
        event = struct.pack("<BBHIIIIIII", 33, 32, 0, window, self.atom("WM_PROTOCOLS"),
                            self.atom("WM_DELETE_WINDOW"), 0, 0, 0, 0)
        self._send(25, 0, struct.pack("<II", window, 0) + event)

    def fill(self, window, x, y, width, height, color):
        """Paints a rectangle on a window of another program, in a colour given as bytes B, G, R."""
        # Ids of this client count up from the base that the server assigned to this connection.
        self.context += 1
        # CreateGC with GCForeground, PolyFillRectangle, FreeGC.
        self._send(55, 0, struct.pack("<III", self.context, window, 4) + color + b"\0")
        self._send(70, 0, struct.pack("<IIhhHH", window, self.context, x, y, width, height))
        self._send(60, 0, struct.pack("<I", self.context))

    def sync(self):
        self._ask(43, 0)
