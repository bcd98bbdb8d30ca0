"""Draws, asks and gets errors over plain MessagePack-RPC, without `hello`, as a client written only from the public
specification would. Its own model of the display determines the expected value of every pixel.

    python3 check.py HOST:PORT [PICTURE]    PICTURE: where to write the picture expected at the end, as bytes R, G, B, A

Needs the msgpack package and no other. Exits with a sentence and a non-zero status at the first difference.
"""
import hashlib
import re
import socket
import struct
import sys

import msgpack

# Far longer than any answer takes, so that a display that hangs causes a failure instead of an endless wait.
DEADLINE = 20
RED, GREEN, BLUE, HALF = 0xFF0000FF, 0x00FF00FF, 0x0000FFFF, 0x12345680


def check(holds, sentence):
    if not holds:
        sys.exit(f"check.py: {sentence}")


class Client:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unpacker = msgpack.Unpacker()
        self.number = 0

    def send(self, data, piece=None):
        for start in range(0, len(data), piece or len(data)):
            self.socket.sendall(data[start:start + (piece or len(data))])

    def receive(self):
        while True:
            for message in self.unpacker:
                return message
            data = self.socket.recv(65536)
            check(data, "the display closed the connection")
            self.unpacker.feed(data)

    def answer(self, number, what):
        """Returns the next message, which must be the response to that request: nothing unrequested may arrive."""
        message = self.receive()
        check(isinstance(message, list) and len(message) == 4 and message[:2] == [1, number],
              f"{what}: expected the response to request {number}, got {message!r}")
        _, _, error, result = message
        check(error is None or result is None, f"{what}: both an error and a result: {message!r}")
        return error, result

    def request(self, method, *params, piece=None, packer=msgpack.packb):
        self.number += 1
        self.send(packer([0, self.number, method, list(params)]), piece)
        return self.answer(self.number, method)

    def call(self, method, *params, **how):
        error, result = self.request(method, *params, **how)
        check(error is None, f"{method}{params!r:.100} failed: {error!r}")
        return result

    def draw(self, method, *params, **how):
        result = self.call(method, *params, **how)
        check(result is None, f"{method} answers nil, not {result!r}")

    def refused(self, code, method, *params, says="", **how):
        """Makes a call that must fail with `[0, "code: text"]`."""
        error, result = self.request(method, *params, **how)
        what = f"{method}{params!r:.100}"
        check(error is not None, f"{what} succeeded with {result!r}, expected {code}")
        check(isinstance(error, list) and len(error) == 2 and error[0] == 0 and isinstance(error[1], str),
              f"{what}: an error is [0, text], not {error!r}")
        check(error[1].startswith(code + ": "), f"{what}: expected {code}, got {error[1]!r}")
        check(re.search(says, error[1]), f"{what}: expected the text to say {says!r}: {error[1]!r}")
        return error

    def notify(self, method, *params):
        self.send(msgpack.packb([2, method, list(params)]))


class Model:
    def __init__(self, width, height):
        self.width, self.height = width, height
        self.bytes = bytearray(width * height * 4)

    def pixel(self, x, y, color):
        if 0 <= x < self.width and 0 <= y < self.height:
            struct.pack_into(">I", self.bytes, (y * self.width + x) * 4, color)

    def add(self, x, y, amount):
        if 0 <= x < self.width and 0 <= y < self.height:
            old, = struct.unpack_from(">I", self.bytes, (y * self.width + x) * 4)
            self.pixel(x, y, (old + amount) % 2**32)

    def rect(self, x, y, width, height, color):
        for row in range(y, y + height):
            for column in range(x, x + width):
                self.pixel(column, row, color)

    def image(self, x, y, width, rgba):
        for i, (color,) in enumerate(struct.iter_unpack(">I", rgba)):
            self.pixel(x + i % width, y + i // width, color)

    def compare(self, client, after):
        got = client.call("get_image", 0, 0, self.width, self.height)
        check(isinstance(got, bytes), f"get_image answers a bin, not {type(got).__name__}")
        check(len(got) == len(self.bytes), f"get_image answered {len(got)} bytes, expected {len(self.bytes)}")
        if got != self.bytes:
            i = next(i for i in range(0, len(got), 4) if got[i:i + 4] != self.bytes[i:i + 4]) // 4
            sys.exit(f"check.py: after {after}: the pixel ({i % self.width}, {i // self.width}) is "
                     f"{got[i * 4:i * 4 + 4].hex()}, expected {self.bytes[i * 4:i * 4 + 4].hex()}")
        print(f"  {after}: as expected, pixel by pixel")


def run(pixels):
    return b"".join(struct.pack(">HHI", *pixel) for pixel in pixels)


def main(address, picture=None):
    client = Client(address)
    width, height = client.call("get_size")
    check(width >= 320 and height >= 240, f"the display has {width}x{height}, too small for this check")
    size = f"{width}x{height}"
    model = Model(width, height)

    client.draw("clear", 0x000000FF)
    model.rect(0, 0, width, height, 0x000000FF)
    client.draw("draw_pixel", 0, 0, RED)
    model.pixel(0, 0, RED)
    client.draw("draw_pixel", width - 1, height - 1, HALF)
    model.pixel(width - 1, height - 1, HALF)
    client.draw("fill_rect", 10, 20, 30, 40, GREEN)
    model.rect(10, 20, 30, 40, GREEN)
    client.draw("fill_rect", 5, 5, 0, 7, RED)
    rgba = bytes((x * 7 + y * 3 + c * 50) % 256 for y in range(9) for x in range(13) for c in range(4))
    client.draw("put_image", 50, 20, 13, 9, rgba)
    model.image(50, 20, 13, rgba)
    line = [(100 + i, 30 + i % 5, 0x102030FF + (i << 8)) for i in range(150)]
    client.draw("draw_pixels", run(line))
    for pixel in line:
        model.pixel(*pixel)
    client.draw("draw_pixels", b"")
    model.compare(client, "every drawing call")

    for amount in (1, 0xFF00, 0xFFFFFFFF):
        client.draw("add_pixel", 100, 30, amount)
        model.add(100, 30, amount)
    sums = [(100 + i % 20, 30, 0x01020304 + i) for i in range(50)]
    client.draw("add_pixels", run(sums))
    client.draw("add_pixels", [list(one) for one in sums])
    for one in sums + sums:
        model.add(*one)
    client.refused("out_of_bounds", "add_pixel", width, 0, 1)
    client.refused("out_of_bounds", "add_pixels", run([(99, 30, 1), (width, 3, 1)]), says=rf"\({width}, 3\)")
    model.add(99, 30, 1)
    model.compare(client, "adding")

    for rectangle in (0, 0, width, height), (90, 25, 41, 13), (5, 5, 0, 9):
        digest = client.call("get_digest", *rectangle)
        image = client.call("get_image", *rectangle)
        check(digest == hashlib.sha256(image).digest(), f"get_digest{rectangle} is not the SHA-256 of get_image")
    check(client.call("get_digest", 0, 0, width, height) == hashlib.sha256(model.bytes).digest(),
          "get_digest is not the SHA-256 of the picture expected")
    client.refused("out_of_bounds", "get_digest", width - 1, 0, 2, 1)
    client.refused("too_large", "get_digest", 0, 0, 4096, 4096, says="bands")
    print("  get_digest: the SHA-256 of what get_image answers")

    # The forms that clients written by hand, or for older MessagePack, send.
    client.draw("draw_pixels", [[100 + i, 50, BLUE] for i in range(20)])
    model.rect(100, 50, 20, 1, BLUE)
    client.draw("draw_pixel", 130.0, 50.0, float(RED))
    model.pixel(130, 50, RED)
    client.draw("fill_rect", 131.0, 50, 2.0, 1, GREEN)
    model.rect(131, 50, 2, 1, GREEN)
    without_bin = msgpack.Packer(use_bin_type=False).pack
    client.draw("draw_pixels", run([(140, 50, 0xFFFEFDFC), (141, 50, RED)]), packer=without_bin)
    model.pixel(140, 50, 0xFFFEFDFC)
    model.pixel(141, 50, RED)
    client.draw("put_image", 142, 50, 1, 1, b"\xff\xc0\x80\x01", packer=without_bin)
    model.pixel(142, 50, 0xFFC08001)
    # Every number in its widest form: array32, uint64, int64, str32.
    widest = (b"\xdd\0\0\0\4" + b"\xcf" + bytes(8) + b"\xcf" + struct.pack(">Q", 0xFFFFFFFF)
              + b"\xdb\0\0\0\x0adraw_pixel" + b"\xdd\0\0\0\3"
              + b"\xd3" + struct.pack(">q", 150) + b"\xcf" + struct.pack(">Q", 50) + b"\xcf" + struct.pack(">Q", RED))
    client.send(widest)
    check(client.answer(0xFFFFFFFF, "numbers in their widest form") == (None, None), "they were refused")
    model.pixel(150, 50, RED)
    model.compare(client, "other forms of the same calls")

    # A notification is executed and never answered: the next message is the answer to the next request.
    client.notify("draw_pixel", 160, 50, RED)
    model.pixel(160, 50, RED)
    client.notify("draw_pixel", width, 0, RED)
    client.notify("no_such_method")
    client.notify("get_size")
    client.draw("sync")
    model.compare(client, "notifications")

    color = client.call("get_pixel", width - 1, height - 1)
    check(color == HALF, f"get_pixel answered {color:#x}, expected {HALF:#x}")
    mouse = client.call("get_mouse")
    check(mouse is None or len(mouse) >= 2, f"get_mouse answers nil or [x, y], not {mouse!r}")
    part = client.call("get_image", 50, 20, 13, 9)
    check(part == rgba, "get_image of a part differs from what put_image stored there")

    x = max(700, width)
    error = client.refused("out_of_bounds", "draw_pixel", x, 10, RED)
    expected = [0, f"out_of_bounds: ({x}, 10) is outside {size}"]
    check(error == expected, f"the error is {error!r}, expected {expected!r}")
    client.refused("out_of_bounds", "draw_pixel", -1, 0, RED, says=r"\(-1, 0\)")
    client.refused("out_of_bounds", "draw_pixel", 2**31 - 1, -2**31, RED)
    client.refused("out_of_bounds", "get_pixel", 0, height)
    client.refused("out_of_bounds", "get_image", width - 1, 0, 2, 1)
    mixed = [(170 + i, 50, BLUE) if i % 2 else (width + i, 3, BLUE) for i in range(24)]
    client.refused("out_of_bounds", "draw_pixels", run(mixed), says=rf"\({width}, 3\).*\b2 more")
    for pixel in mixed:
        model.pixel(*pixel)
    client.refused("out_of_bounds", "draw_pixels", [[-1, 60, RED], [200, 60, RED]], says=r"\(-1, 60\)")
    model.pixel(200, 60, RED)
    client.refused("out_of_bounds", "fill_rect", width - 3, height - 5, 10, 10, GREEN)
    model.rect(width - 3, height - 5, 10, 10, GREEN)
    client.refused("out_of_bounds", "fill_rect", -2**31, -2**31, 2**32 - 1, 2**32 - 1, HALF)
    model.rect(0, 0, width, height, HALF)
    client.draw("fill_rect", 0, 0, width, height, 0x202020FF)
    model.rect(0, 0, width, height, 0x202020FF)
    client.refused("out_of_bounds", "put_image", -6, -4, 13, 9, rgba)
    model.image(-6, -4, 13, rgba)
    model.compare(client, "calls partly outside, whose other part is drawn")

    client.refused("no_journal", "sync_durable", says="--journal DIR")
    client.refused("unknown_method", "draw_teapot", 1, 2, says="draw_teapot")
    client.refused("invalid_argument", "draw_pixel", 1, 2, says="3 parameters")
    client.refused("invalid_argument", "draw_pixel", "one", 2, RED, says="x")
    client.refused("invalid_argument", "draw_pixel", 1.5, 2, RED)
    client.refused("invalid_argument", "draw_pixel", 1, 2, 2**32)
    client.refused("invalid_argument", "draw_pixel", 1, 2, None)
    client.refused("invalid_argument", "draw_pixels", run([(1, 1, RED)]) + b"\0")
    client.refused("invalid_argument", "draw_pixels", [[1, 1, RED], [1, "y", RED]])
    client.refused("invalid_argument", "put_image", 0, 0, 2, 2, bytes(15))
    client.refused("invalid_argument", "fill_rect", 0, 0, -1, 5, RED)
    client.refused("too_large", "draw_pixels", run([(1, 1, RED)]) * 65_537, says="65536")
    model.compare(client, "calls that are wrong, of which nothing is drawn")

    # 7,500 requests before the first answer is read.
    base = client.number + 1
    requests = [(i % 100, 100 + i // 100, 0x400000FF + i * 0x1000) for i in range(7_500)]
    client.send(b"".join(msgpack.packb([0, base + i, "draw_pixel", pixel]) for i, pixel in enumerate(requests)))
    for i, pixel in enumerate(requests):
        check(client.answer(base + i, "draw_pixel") == (None, None), f"the pixel {pixel} was refused")
        model.pixel(*pixel)
    client.number += len(requests)
    model.compare(client, "7,500 requests sent before the first answer was read")

    client.draw("draw_pixels", run([(210 + i, 60, RED) for i in range(5)]), piece=1)
    model.rect(210, 60, 5, 1, RED)
    model.compare(client, "a message sent in single bytes")

    # Bytes that are not MessagePack-RPC close their own connection and no other.
    stranger = Client(address)
    stranger.send(b"GET / HTTP/1.1\r\nHost: display\r\n\r\n")
    while True:
        try:
            if not stranger.socket.recv(65536):
                break
        except ConnectionResetError:
            break
        except TimeoutError:
            sys.exit("check.py: a connection that speaks HTTP was left open")
    newcomer = Client(address)
    check(newcomer.call("get_size") == [width, height], "a new client is told another size")
    newcomer.draw("draw_pixel", 220, 60, BLUE)
    model.pixel(220, 60, BLUE)
    model.compare(client, "a stranger that speaks HTTP, and a new client")

    if picture:
        with open(picture, "wb") as file:
            file.write(model.bytes)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"check.py: {error}")
