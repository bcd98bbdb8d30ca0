"""Runs the programs that README.md, docs/ and the specification show in other languages, against a display:

    python3 shown.py HOST:PORT

The Python clients are interrupted in the middle of calls, as by Ctrl-C or a notebook's Stop, and continue to call: each
call must get its own answer. A relay between client and display holds answers back, so that the signal arrives at a
known point. Needs the msgpack package and Neovim. Exits with a sentence and a non-zero status at the first difference.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import msgpack

DEADLINE = 20
RED, BLUE, ORANGE = 0xFF0000FF, 0x0000FFFF, 0xFF8000FF
ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def check(holds, sentence):
    if not holds:
        sys.exit(f"shown.py: {sentence}")


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def shown(path, language):
    """Returns the blocks of a document in a language."""
    blocks = re.findall(rf"```{language}\n(.*?)```", read(path), re.S)
    check(blocks, f"{path} shows nothing in {language}")
    return blocks


class Relay:
    """Forwards one connection, and holds bytes back on request."""

    def __init__(self, display):
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that a large request fills the buffers.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.address = self.listener.getsockname()[:2]
        self.display = display
        self.lock = threading.Condition()
        self.passes = None  # bytes of answers that still pass, if not all
        self.takes = None  # bytes of requests that are still taken, if not all
        self.stuck = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        client, _ = self.listener.accept()
        display = socket.create_connection(self.display)
        threading.Thread(target=self.forward, args=(client, display, "takes"), daemon=True).start()
        self.forward(display, client, "passes")

    def forward(self, source, target, limit):
        try:
            while True:
                with self.lock:
                    if limit == "takes":
                        self.wait(limit)
                data = source.recv(65536)
                if not data:
                    break
                while data:
                    with self.lock:
                        self.wait(limit)
                        most = getattr(self, limit)
                        part = data if most is None else data[:most]
                        if most is not None:
                            setattr(self, limit, most - len(part))
                    target.sendall(part)
                    data = data[len(part):]
        except OSError:
            pass
        for end in source, target:
            end.close()

    def wait(self, limit):
        """Waits until bytes may pass. The caller holds the lock."""
        while getattr(self, limit) == 0:
            self.stuck.set()
            self.lock.wait()

    def hold(self, limit, after):
        with self.lock:
            self.stuck.clear()
            setattr(self, limit, after)

    def release(self):
        with self.lock:
            self.passes = self.takes = None
            self.lock.notify_all()


class Program:
    """A program shown in a document, run in this process, that can be interrupted at one of its lines."""

    def __init__(self, name, source):
        self.name, self.lines, self.names = name, source.splitlines(), {"__name__": "__main__"}
        exec(compile(source, name, "exec"), self.names)
        self.call = self.names["call"]

    def is_at(self, line, method):
        """Returns whether the main thread is at this line of `call`, in a call of this method."""
        frame = sys._current_frames()[threading.main_thread().ident]
        while frame and frame.f_code is not self.call.__code__:
            frame = frame.f_back
        return bool(frame) and self.lines[frame.f_lineno - 1].strip().startswith(line) \
            and frame.f_locals["method"] == method

    def interrupt(self, relay, line, method, *params):
        """Makes a call, and sends SIGINT when it is at this line and the relay holds bytes back."""
        def interrupt():
            end = time.monotonic() + DEADLINE
            while not (relay.stuck.is_set() and self.is_at(line, method)):
                if time.monotonic() > end:
                    print(f"shown.py: {self.name}: {method} did not wait in {line!r}", file=sys.stderr, flush=True)
                    os._exit(1)
                time.sleep(0.001)
            # A signal that arrives just before the system call does not interrupt it; the next one does.
            while not left.is_set():
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                left.wait(0.5)

        left = threading.Event()
        interrupter = threading.Thread(target=interrupt, daemon=True)
        interrupter.start()
        try:
            result = self.call(method, *params)
        except KeyboardInterrupt:
            left.set()
            interrupter.join()
        else:
            check(False, f"{self.name}: {method} returned {result!r:.80} while its answer was held back")


READS, SENDS = "for _, answered", "display.sendall("


def check_interrupted(program, relay):
    name, call = program.name, program.call
    size = call("get_size")
    image = bytes(range(256)) * 900
    call("put_image", 0, 0, 240, 240, image)
    call("draw_pixel", 0, 0, RED)
    call("draw_pixel", 1, 0, BLUE)
    # With none of the answer, with its beginning, and with a part of a large one.
    for after in 0, 3, 100_000:
        relay.hold("passes", after)
        program.interrupt(relay, READS, "get_image", 0, 0, 240, 240)
        program.interrupt(relay, READS, "get_pixel", 0, 0)
        relay.release()
        for _ in range(3):
            for x, color in (0, RED), (1, BLUE):
                got = call("get_pixel", x, 0)
                check(got == color, f"{name}: after an interrupted call, the pixel ({x}, 0) is {got!r:.80}, not {color}")
            check(call("get_size") == size, f"{name}: after an interrupted call, get_size is wrong")
        check(call("get_image", 0, 0, 240, 240)[8:] == image[8:], f"{name}: after an interrupted call, the image is wrong")
    print(f"  {name}: interrupted in the middle of 6 calls, and each call after them got its own answer")


def check_half_sent(program, relay):
    """Tests that after a request sent in part the next call reports the unusable connection and what to do. A request
    that cannot be sent at all does not affect the connection."""
    name = program.name
    try:
        program.call("get_pixel", object(), 0)
    except TypeError:
        check(program.call("get_size"), f"{name}: a parameter that cannot be sent costs the connection")
    relay.hold("takes", 65536)
    program.interrupt(relay, SENDS, "put_image", 0, 0, 1900, 2000, bytes(1900 * 2000 * 4))
    relay.release()
    try:
        got = program.call("get_pixel", 0, 0)
    except ConnectionError as error:
        check("interrupted part-way" in str(error) and "connect anew" in str(error),
              f"{name}: half of a request was sent, and then the program says only: {error}")
        print(f"  {name}: interrupted in the middle of a request, then: {error}")
    except OSError as error:
        check(False, f"{name}: half of a request was sent, and then the program says only: {error}")
    else:
        check(False, f"{name}: half of a request was sent, and then get_pixel answered {got!r:.80}")


def check_python(address):
    relay = Relay(address)
    sys.argv = ["circle.py", "{}:{}".format(*relay.address)]
    program = Program("circle.py", read("examples/python/circle.py"))
    check_interrupted(program, relay)
    check_half_sent(program, relay)

    block, = shown("README.md", "python")
    check('("localhost", 3729)' in block, "README.md's Python connects elsewhere than expected")
    relay = Relay(address)
    program = Program("README.md's Python", block.replace('("localhost", 3729)', repr(relay.address)))
    for x, y in (10, 10), (209, 109):
        check(program.call("get_pixel", x, y) == ORANGE, f"README.md's Python did not draw ({x}, {y})")
    check_interrupted(program, relay)

    first, second = shown("protocol/spec/quickstart.md", "python")
    lines = first.split("\n\n")[0].splitlines()
    check(len(lines) == 12, f"quickstart.md says that its client has twelve lines, and it has {len(lines)}")
    check('("localhost", 3729)' in first, "quickstart.md's client connects elsewhere than expected")
    relay = Relay(address)
    program = Program("quickstart.md's twelve lines", first.replace('("localhost", 3729)', repr(relay.address)))
    exec(compile(second, "quickstart.md", "exec"), program.names)
    for x, y in (100, 100), (199, 100), (100, 199):
        check(program.call("get_pixel", x, y) == RED, f"quickstart.md's Python did not draw ({x}, {y})")
    check_interrupted(program, relay)
    checked = {}
    exec(next(block for block in shown("protocol/spec/checks.md", "python") if "zlib" in block), checked)
    vector, = [vector for vector in json.loads(read("protocol/spec/vectors.json"))["vectors"]
               if vector["name"] == "crc32-answer"]
    message = bytes.fromhex(vector["bytes"])
    check(checked["checked"](message[18:]) == message, "checks.md's Python makes another check")


def check_lua(address):
    host, port = address
    block, = shown("docs/languages.md", "lua")
    check("'127.0.0.1:3729'" in block, "the book's Lua connects elsewhere than expected")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(block.replace("127.0.0.1:3729", f"{host}:{port}"))
        file.flush()
        command = ["nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", f"luafile {file.name}", "-c", "qall!"]
        ran = subprocess.run(command, timeout=60, capture_output=True, text=True)
    check(ran.returncode == 0 and not ran.stderr.strip(), f"the book's Lua says: {ran.stdout}{ran.stderr}")
    display = socket.create_connection(address, DEADLINE)
    replies = msgpack.Unpacker()
    for number, (x, y) in enumerate([(10, 10), (209, 109)]):
        display.sendall(msgpack.packb([0, number, "get_pixel", [x, y]]))
        replies.feed(display.recv(100))
        check(replies.unpack() == [1, number, None, ORANGE], f"the book's Lua did not draw ({x}, {y})")
    print("  the book's Lua, in Neovim: as shown")


if __name__ == "__main__":
    # A shell may have set the signal to be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    host, _, port = sys.argv[1].rpartition(":")
    check_python((host, int(port)))
    check_lua((host, int(port)))
