"""Runs a display server with two windows of one display on an Xvfb, and checks that each window shows the display, that
only damaged rows are presented again, and that closing one window leaves the other.

    python3 several.py SERVER [SCREENSHOT.png]

With SCREENSHOT.png the screen with both windows is written to that file.
"""
import random
import socket
import struct
import sys
import tempfile
import zlib

from server import Server, same
from x11 import DEADLINE, Failure, Screen, until

CANVAS = (320, 240)
# The places of the windows, which differ in size: one at the size of the display, one at twice its size.
PLACES = [(10, 20, 320, 240), (400, 20, 640, 480)]
MARK = b"\x12\x34\x56"


def say(sentence):
    print(f"  {sentence}", flush=True)


def opened(server, screen):
    """Returns both windows, moved apart: without a window manager they open on top of each other."""
    windows = [screen.find(f"{server.address} - "), screen.find(f"{server.address} (2) - ")]
    for window, (x, y, width, height) in zip(windows, PLACES):
        screen.move(window, x, y)
        screen.resize(window, width, height)
    return windows


def both_show(screen, windows, client):
    return [same(screen, window, place[2:], client) for window, place in zip(windows, PLACES)]


def picture(seed):
    rgba = bytearray(random.Random(seed).randbytes(CANVAS[0] * CANVAS[1] * 4))
    rgba[3::4] = b"\xff" * (CANVAS[0] * CANVAS[1])
    return bytes(rgba)


def pixel(screen, place, x, y):
    return bytes(screen.row(place[0] + x, place[1] + y, 1)[:3])


def only_damage(screen, windows, client):
    """Paints on both windows from another X client. The paint stays until the display draws on those rows."""
    both_show(screen, windows, client)
    for window, place in zip(windows, PLACES):
        screen.fill(window, 0, 0, place[2], 16, MARK)
    screen.sync()
    client.call("fill_rect", 0, 200, CANVAS[0], 3, 0x00FF00FF)
    for place in PLACES:
        scale = place[2] // CANVAS[0]
        until("the green row", lambda: pixel(screen, place, 5, 201 * scale) == b"\x00\xff\x00")
        for y in (0, 15):
            if pixel(screen, place, 5, y) != MARK:
                raise Failure(f"row {y} of the window at {place} was presented again, and was not damaged")
    # Damage of those rows restores them, in both windows.
    client.call("fill_rect", 0, 0, CANVAS[0], 20, 0x808080FF)
    both_show(screen, windows, client)
    say("each window presents the damaged rows, and no others")


def pointer(screen, windows, client):
    """Tests that the pointer's position is that in the window that it was last in."""
    layouts = both_show(screen, windows, client)

    def points(index, x, y):
        screen.point(windows[index], x, y)
        want = layouts[index].pixel(x, y)
        until(f"the pointer at {want}", lambda: client.call("get_mouse") == want, 5)
        return want

    points(0, 17, 33)
    want = points(1, 17, 33)
    # The first window gets a new layout; the pointer is not in it.
    screen.resize(windows[0], 330, 250)
    client.call("fill_rect", 5, 5, 5, 5, 0xFF0000FF)
    same(screen, windows[0], (330, 250), client)
    if client.call("get_mouse") != want:
        raise Failure(f"the pointer is in the second window at {want}; after the first one was resized get_mouse "
                      f"answers {client.call('get_mouse')}")
    screen.resize(windows[0], *PLACES[0][2:])
    points(0, 300, 5)
    both_show(screen, windows, client)
    say("get_mouse answers where the pointer is in the window that it was last in")


def closing(program, screen, presenter, close, name):
    """Closes one window; the other one and the client remain. Closing the second one ends the server."""
    for first in (0, 1):
        server = Server(program, screen, "--present", presenter, "--windows", "2", "--size", f"{CANVAS[0]}x{CANVAS[1]}")
        try:
            windows, client, told = opened(server, screen), server.client(), Told(server.address)
            layouts = both_show(screen, windows, client)
            # Waits until the server has seen the window's move: winit panics if the window is destroyed before.
            screen.point(windows[first], 17, 33)
            until("the pointer", lambda: client.call("get_mouse") == layouts[first].pixel(17, 33))
            close(windows[first])
            until("one window less", lambda: windows[first] not in screen.windows())
            title = server.address if first == 0 else f"{server.address} (2)"
            server.logged(f'a window was closed, 1 other one stays open, and all displays are served window="{title}"')
            other = windows[1 - first]
            for seed in range(3):
                client.call("put_image", 0, 0, *CANVAS, picture(seed))
                same(screen, other, PLACES[1 - first][2:], client)
            close(other)
            told.check()
            server.ends(f"the last window, {name}")
        finally:
            server.kill()
    say(f"a window {name}: the other one goes on, in either order; after the last one the server ends")


class Told:
    """A client that the display notifies of the reason of its end, because the client has sent hello."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), DEADLINE)
        self.socket.sendall(b"\x94\x00\x00\xa5hello\x91\x82\xa7version\x01\xa6client\xa1x")
        self.socket.recv(4096)

    def check(self):
        data = b""
        while more := self.socket.recv(4096):
            data += more
        self.socket.close()
        if b"window_closed" not in data:
            raise Failure(f"the client was not told that the window was closed, only {data!r}")


def screenshot(screen, path):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    rows = b""
    for y in range(screen.height):
        row = screen.row(0, y, screen.width)
        rgb = bytearray(screen.width * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
        rows += b"\0" + rgb
    head = struct.pack(">IIBBBBB", screen.width, screen.height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def presenter(program, screen, name, says, path):
    server = Server(program, screen, "--present", name, "--windows", "2", "--size", f"{CANVAS[0]}x{CANVAS[1]}")
    try:
        windows, client = opened(server, screen), server.client()
        server.logged(says)
        for seed in range(3):
            client.call("put_image", 0, 0, *CANVAS, picture(seed))
            both_show(screen, windows, client)
        client.call("clear", 0x204060FF)
        client.call("fill_rect", 40, 30, 200, 100, 0xFF8000FF)
        client.call("fill_rect", 100, 60, 180, 150, 0x00C08080)
        both_show(screen, windows, client)
        if path:
            screenshot(screen, path)
        say(f"{name}: two windows of one display, at scale 1 and 2: 0 pixels differ")
        if name == "software":
            only_damage(screen, windows, client)
        pointer(screen, windows, client)
        client.close()
    finally:
        server.kill()
    closing(program, screen, name, screen.close, "closed by its user")
    closing(program, screen, name, screen.destroy, "destroyed by another program")


def main(program, path=None):
    with tempfile.TemporaryDirectory() as directory:
        screen = Screen(directory, 1100, 600)
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            presenter(program, screen, "software", "presenting with software", path)
            presenter(program, screen, "gpu", "presenting with the GPU", None)
        finally:
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"several.py: {failure}")
