"""Runs a display server in windows of its own Xvfb, and compares whole windows pixel by pixel with the display's
answers over the network.

    python3 check.py SERVER software|gpu|choice
"""
import os
import random
import signal
import struct
import sys
import tempfile
import threading
import time

from server import Server, same
from x11 import Failure, Screen, until

CANVAS = (640, 480)
SIZES = [(640, 480), (1280, 960), (900, 700), (901, 701), (641, 481), (600, 450), (500, 300), (501, 301), (1279, 1001),
         (1280, 961)]


def say(sentence):
    print(f"  {sentence}", flush=True)


def picture(seed):
    """Returns a picture of every alpha and many colours; the lower half is opaque, as most pictures are."""
    rgba = bytearray(random.Random(seed).randbytes(CANVAS[0] * CANVAS[1] * 4))
    half = len(rgba) // 2
    rgba[half + 3::4] = b"\xff" * (half // 4)
    return bytes(rgba)


def sizes(server, screen, window, client):
    for number, size in enumerate(SIZES):
        screen.resize(window, *size)
        client.call("put_image", 0, 0, *CANVAS, picture(number))
        layout = same(screen, window, size, client)
        # One pixel, one row, one column, after the whole picture.
        client.call("draw_pixel", 639, 479, 0x010203FF)
        client.call("fill_rect", 0, 240, 640, 1, 0x40FF8080)
        client.call("fill_rect", 320, 0, 1, 480, 0x00FF00FF)
        same(screen, window, size, client)
        pointer(screen, window, client, layout)
        say(f"{size[0]}x{size[1]}: 0 pixels differ, twice; the pointer is where it points")


def pointer(screen, window, client, layout):
    (width, height), (left, top) = layout.window, layout.start
    right, bottom = (start + cells * layout.scale - 1 for start, cells in zip(layout.start, layout.cells))
    places = [(left, top), (right, bottom), (left, bottom), (right, top), (0, 0), (width - 1, height - 1)]
    places += [(left + 2 * layout.scale - 1, top + 2 * layout.scale), (right - layout.scale, bottom - layout.scale)]
    places += [(random.randrange(width), random.randrange(height)) for _ in range(8)]
    for x, y in places:
        screen.point(window, x, y)
        want = layout.pixel(x, y)
        try:
            until("the pointer", lambda: client.call("get_mouse") == want, 5)
        except Failure:
            raise Failure(f"pointing at ({x}, {y}) of {width}x{height}, get_mouse answers "
                          f"{client.call('get_mouse')}, expected {want}") from None


def storm(server, screen, window, client):
    """Resizes the window while it is being drawn on: a presenter that waits for an outdated size would hang here."""
    is_over = threading.Event()
    failures = []

    def draw():
        try:
            drawer, n = server.client(), 0
            while not is_over.is_set():
                n += 1
                drawer.call("fill_rect", n * 7 % 600, n * 13 % 440, 40, 40, (n * 0x01030507 & 0xFFFFFF00) | 0xFF)
            drawer.close()
        except (Failure, OSError) as failure:
            failures.append(failure)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        for pause in (0.02, 0.004, 0):
            for n in range(300):
                # First small steps, as when dragging an edge, then random sizes.
                size = (400 + n * 2, 300 + n) if pause == 0.02 else (random.randint(1, 1200), random.randint(1, 900))
                screen.resize(window, *size)
                screen.sync()
                time.sleep(pause)
            screen.resize(window, 900, 700)
    finally:
        is_over.set()
        drawing.join()
    if failures:
        raise Failure(f"drawing in the storm failed: {failures[0]}")
    same(screen, window, (900, 700), client)
    say("900 sizes while it was drawn on: the right picture right afterwards")


def hide(server, screen, window, client):
    screen.hide(window)
    client.call("put_image", 0, 0, *CANVAS, picture("hidden"))
    screen.sync()
    screen.show(window)
    same(screen, window, (900, 700), client)
    screen.resize(window, 1, 1)
    client.call("put_image", 0, 0, *CANVAS, picture("tiny"))
    same(screen, window, (1, 1), client)
    screen.resize(window, 640, 480)
    same(screen, window, (640, 480), client)
    # Another window covers it for a while: X discards the covered content.
    cover = Server(server.program, screen, "--present", "software", "--size", "300x200")
    try:
        over = screen.find(cover.address)
        until("the covering window in its place", lambda: screen.place(over)[2:] == (300, 200))
        # Until it shows a picture: winit panics if a window is destroyed while it is being opened.
        drawing = cover.client()
        drawing.call("draw_pixel", 0, 0, 0x204060FF)
        same(screen, over, (300, 200), drawing)
        screen.destroy(over)
        cover.ends("the covering window was destroyed")
    finally:
        cover.kill()
    same(screen, window, (640, 480), client)
    say("hidden, one pixel small, covered, and back: 0 pixels differ")


def title(server, screen, window):
    others = [server.client() for _ in range(2)]
    [other.call("get_size") for other in others]
    until("a title with 3 clients", lambda: screen.title(window) == f"{server.address} - 640x480 - 3 clients")
    [other.close() for other in others]
    until("a title with 1 client", lambda: screen.title(window) == f"{server.address} - 640x480 - 1 client")
    say(f"the title: {screen.title(window)}")


def ends(program, screen, presenter):
    """Ends the server in each way, with a client connected: status 0, and the snapshot exists."""
    ways = {
        "closed by its user": lambda server, window: screen.close(window),
        "destroyed by another program": lambda server, window: screen.destroy(window),
        "SIGTERM": lambda server, window: server.process.send_signal(signal.SIGTERM),
        "SIGINT": lambda server, window: server.process.send_signal(signal.SIGINT),
    }
    for busy in (False, True):
        for way, end in ways.items():
            path = os.path.join(screen.directory, "snapshot.png")
            server = Server(program, screen, "--present", presenter, "--size", "64x48", "--snapshot", path)
            stop = threading.Event()
            try:
                window, client = screen.find(server.address), server.client()
                client.call("clear", 0x123456FF)
                server.logged("presenting with")
                same(screen, window, (64, 48), client)

                def draw():
                    try:
                        while not stop.is_set():
                            client.call("fill_rect", 0, 0, 64, 48, 0x123456FF)
                    except (Failure, OSError):
                        pass
                drawing = threading.Thread(target=draw) if busy else None
                if drawing:
                    drawing.start()
                end(server, window)
                server.ends(way)
                stop.set()
                if drawing:
                    drawing.join()
                with open(path, "rb") as file:
                    width, height = struct.unpack_from(">II", file.read(), 16)
                if (width, height) != (64, 48):
                    raise Failure(f"{way}: the snapshot has {width}x{height} pixels")
                os.remove(path)
            finally:
                stop.set()
                server.kill()
    say(f"{', '.join(ways)}; idle and while it was drawn on: status 0, snapshot written")


def scales(program, screen, presenter):
    """Tests a screen with small pixels: the initial window size follows the scale factor, rounded to a whole number."""
    for factor, size in (("1.5", (640, 480)), ("2", (1280, 960)), ("3", (1280, 960))):
        server = Server(program, screen, "--present", presenter, WINIT_X11_SCALE_FACTOR=factor)
        try:
            window, client = screen.find(server.address), server.client()
            client.call("put_image", 0, 0, *CANVAS, picture(factor))
            pointer(screen, window, client, same(screen, window, size, client))
            screen.resize(window, 901, 701)
            pointer(screen, window, client, same(screen, window, (901, 701), client))
            client.close()
            server.ends("SIGTERM", signal.SIGTERM)
        finally:
            server.kill()
    say("scale factors 1.5, 2, and 3, for which the screen is too small: 0 pixels differ, and the pointer")


def presenter(program, screen, name, says):
    # Away from the window's future place, so that the pointer is outside it at first.
    screen.point(screen.root, screen.width - 1, screen.height - 1)
    server = Server(program, screen, "--present", name, "--background", "#204060")
    server.program = program
    try:
        window, client = screen.find(server.address), server.client()
        server.logged(says)
        same(screen, window, CANVAS, client)
        mouse = client.call("get_mouse")
        if mouse is not None:
            raise Failure(f"get_mouse answers {mouse} before the pointer was seen")
        sizes(server, screen, window, client)
        title(server, screen, window)
        storm(server, screen, window, client)
        hide(server, screen, window, client)
        client.close()
        server.ends("SIGTERM", signal.SIGTERM)
    finally:
        server.kill()
    scales(program, screen, name)
    ends(program, screen, name)


def choice(program, screen):
    """Tests which presenter is chosen where parts are missing: always with one sentence in the log, and the server
    serves."""
    nowhere = "/nowhere/icd.json"
    cases = [
        ("no screen", "auto", {"DISPLAY": None}, "neither WAYLAND_DISPLAY nor DISPLAY is set", False),
        ("an empty DISPLAY", "auto", {"DISPLAY": ""}, "neither WAYLAND_DISPLAY nor DISPLAY is set", False),
        ("a dead DISPLAY", "auto", {"DISPLAY": ":987"}, "the X server at DISPLAY=:987 does not answer", False),
        ("a DISPLAY that is none", "gpu", {"DISPLAY": "nonsense"}, "DISPLAY=nonsense does not answer", False),
        ("a dead compositor", "auto", {"DISPLAY": None, "WAYLAND_DISPLAY": "of-nobody"},
         "no Wayland compositor answers at WAYLAND_DISPLAY=of-nobody", False),
        ("a dead compositor beside an X server", "auto", {"WAYLAND_DISPLAY": "of-nobody"}, "presenting with", True),
        ("auto, no GPU", "auto", {}, "presenting with software: there is no GPU, only", True),
        ("gpu, no driver", "gpu", {"VK_ICD_FILENAMES": nowhere, "VK_DRIVER_FILES": nowhere, "WGPU_BACKEND": "vulkan"},
         "presenting with software: there is no graphics driver", True),
        ("software", "software", {}, "presenting with software", True),
    ]
    for name, present, environment, says, has_window in cases:
        server = Server(program, screen, "--present", present, "--size", "64x48", **environment)
        try:
            client = server.client()
            server.logged(says)
            client.call("fill_rect", 3, 4, 50, 30, 0xFF8000C0)
            if has_window:
                same(screen, screen.find(server.address), (64, 48), client)
            server.ends(name, signal.SIGTERM)
            line = next(line for line in server.log().splitlines() if says in line)
            say(f"{name}: {line.split(maxsplit=1)[1].strip()}")
            warnings = [line for line in server.log().splitlines() if " WARN " in line or " ERROR " in line]
            if len(warnings) != (0 if has_window else 1):
                raise Failure(f"{name}: the log has {warnings}")
        finally:
            server.kill()


def death(program, screen):
    """Ends the X server. Its library then ends the process, as docs/window.md states; it does not hang, and no port
    stays in use."""
    server = Server(program, screen, "--present", "software")
    try:
        screen.find(server.address)
        screen.stop()
        status = server.process.wait(10)
        if status != 1 or "panicked" in server.log():
            raise Failure(f"the X server ended, and the server with status {status}; its log:\n{server.log()}")
        say("the X server ends: status 1")
    finally:
        server.kill()


def main(program, what):
    random.seed(1)
    with tempfile.TemporaryDirectory() as directory:
        screen = Screen(directory, 1400, 1100)
        try:
            match what:
                case "software":
                    presenter(program, screen, what, "presenting with software")
                case "gpu":
                    presenter(program, screen, what, "presenting with the GPU")
                case "choice":
                    choice(program, screen)
                    death(program, screen)
                case _:
                    sys.exit(__doc__)
        finally:
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"check.py: {failure}")
