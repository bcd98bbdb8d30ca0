"""Draws on a display server built without windows, and checks its message when a window is requested.

    python3 headless.py SERVER
"""
import signal
import sys
import tempfile

from server import Server
from x11 import Failure

LACKS = "no window, serving without one: this program was built without the cargo feature `window`"


class NoScreen:
    """Replaces a screen that a server could open windows on."""
    display = ":0"

    def __init__(self, directory):
        self.directory = directory


def draws(server):
    client = server.client()
    client.call("fill_rect", 3, 4, 50, 30, 0xFF8000FF)
    client.call("draw_pixel", 0, 0, 0x102030FF)
    image = client.call("get_image", 0, 0, 64, 48)
    for y in range(48):
        for x in range(64):
            orange = 3 <= x < 53 and 4 <= y < 34
            want = b"\x10\x20\x30\xff" if x == y == 0 else b"\xff\x80\0\xff" if orange else b"\0\0\0\xff"
            if image[(y * 64 + x) * 4:][:4] != want:
                raise Failure(f"the pixel ({x}, {y}) is {image[(y * 64 + x) * 4:][:4].hex()}, not {want.hex()}")
    client.close()


def main(program):
    for options, lines in ((["--headless"], 0), (["--present", "none"], 0), ([], 1), (["--present", "gpu"], 1),
                           (["--windows", "3"], 1)):
        with tempfile.TemporaryDirectory() as directory:
            server = Server(program, NoScreen(directory), "--size", "64x48", *options)
            try:
                draws(server)
                server.ends(" ".join(options), signal.SIGTERM)
                if server.log().count(LACKS) != lines or server.log().count("no window") != lines:
                    raise Failure(f"{options}: expected {lines} lines about the window, and the log is:\n{server.log()}")
                print(f"  display-server {' '.join(options)}: draws{', and says that it has no windows' * lines}")
            finally:
                server.kill()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"headless.py: {failure}")
