"""Runs a display server with two displays, one window each, on an Xvfb, and checks that each window shows its own display.

    python3 displays.py SERVER [SCREENSHOT.png]

With SCREENSHOT.png the screen with both windows is written to that file.
"""
import signal
import sys
import tempfile

from draw import Named
from server import Server, same
from several import screenshot
from x11 import Failure, Screen, until

MAIN, PLOTS = (320, 240), (400, 150)


def shown(program, screen, path):
    sizes = ["--size", f"{MAIN[0]}x{MAIN[1]}", "--add", f"plots={PLOTS[0]}x{PLOTS[1]}"]
    server = Server(program, screen, "--present", "software", *sizes)
    try:
        windows = [screen.find(f"{server.address}/{name} - ") for name in ("main", "plots")]
        for window, (x, size) in zip(windows, ((10, MAIN), (400, PLOTS))):
            screen.move(window, x, 20)
            screen.resize(window, *size)
        main, plots = Named(server.address, "main"), Named(server.address, "plots")
        plain = server.client()
        for client, size in ((main, MAIN), (plots, PLOTS), (plain, MAIN)):
            if tuple(client.call("get_size")) != size:
                raise Failure(f"a display has the size {client.call('get_size')}, not {size}")
        main.draw("clear", 0x204060FF)
        main.draw("fill_rect", 40, 30, 200, 100, 0xFF8000FF)
        plots.draw("clear", 0xFFFFFFFF)
        for x in range(0, PLOTS[0], 8):
            plots.draw("fill_rect", x, 140 - x * x // 1300, 6, 4, 0xC02020FF)
        for window, size, client in zip(windows, (MAIN, PLOTS), (main, plots)):
            same(screen, window, size, client)
        if path:
            screenshot(screen, path)
        print("  two displays: each window shows its own, pixel by pixel", flush=True)
        screen.point(windows[1], 7, 9)
        until("the pointer on plots", lambda: plots.call("get_mouse") == [7, 9], 5)
        if main.call("get_mouse") is not None:
            raise Failure(f"the pointer is in the other display's window, and main has it at {main.call('get_mouse')}")
        print("  the pointer is on the display whose window it is in", flush=True)
        screen.close(windows[0])
        until("one window less", lambda: windows[0] not in screen.windows())
        main.draw("clear", 0x00FF00FF)
        plots.draw("clear", 0x0000FFFF)
        same(screen, windows[1], PLOTS, plots)
        server.ends("both displays", signal.SIGTERM)
        print("  a display whose window was closed still draws, and the other one is shown", flush=True)
    finally:
        server.kill()


def main(program, path=None):
    with tempfile.TemporaryDirectory() as directory:
        screen = Screen(directory, 900, 400)
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            shown(program, screen, path)
        finally:
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"displays.py: {failure}")
