"""Runs a display server on an Xvfb with a window manager, presses the keys that are for the window, and looks at the screen.

    python3 keys.py SERVER software|gpu|socket [SCREENSHOTS]

With `socket` the screen shares no memory, so pictures are sent to it, by another presenter. With SCREENSHOTS, a directory, pictures of what was looked at are written there.
"""
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from png_check import decode
from server import BORDER, Server, same
from several import Told, screenshot
from x11 import DEADLINE, Failure, Screen, until

CANVAS = (640, 480)
SCREEN = (1500, 1100)


def say(sentence):
    print(f"  {sentence}", flush=True)


class Manager:
    """The window manager: one of a few files, which moves windows into frames, focuses them and makes them fill the screen."""

    def __init__(self, screen):
        with open(os.path.join(screen.directory, "openbox.log"), "wb") as log:
            self.process = subprocess.Popen(["openbox", "--sm-disable"], env=os.environ | {"DISPLAY": screen.display},
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until("the window manager", lambda: screen.property(screen.root, "_NET_SUPPORTING_WM_CHECK"))

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


class Keys:
    """A server in a window that has the keyboard, and what is looked at in the checks."""

    def __init__(self, program, screen, presenter, pictures, *options, before=()):
        self.screen, self.presenter, self.pictures = screen, presenter, pictures
        self.server = Server(os.path.abspath(program), screen, "--present", presenter, *options, before=before)
        self.window = screen.managed(self.server.address)
        until("the keyboard", lambda: screen.focused() == self.window)
        self.client = self.server.client()

    def shot(self, name):
        if self.pictures:
            screenshot(self.screen, os.path.join(self.pictures, f"{self.presenter}-{name}.png"))

    def shows(self, size):
        until(f"a window of {size}", lambda: self.screen.on_screen(self.window)[2:] == size)
        same(self.screen, self.window, size, self.client)

    def draw(self):
        self.client.call("clear", 0x204060FF)
        self.client.call("fill_rect", 40, 30, 200, 100, 0xFF8000FF)
        self.client.call("fill_rect", 300, 200, 180, 150, 0x00C08080)


def fullscreen(program, screen, presenter, pictures):
    keys = Keys(program, screen, presenter, pictures)
    try:
        keys.draw()
        keys.shows(CANVAS)
        before = screen.on_screen(keys.window)
        screen.press("F11")
        keys.shows(SCREEN)
        if screen.on_screen(keys.window) != (0, 0, *SCREEN):
            raise Failure(f"in full screen the window is at {screen.on_screen(keys.window)}")
        keys.shot("fullscreen")
        screen.press("F11")
        keys.shows(CANVAS)
        until("the window in its place", lambda: screen.on_screen(keys.window) == before)
        icon = screen.property(keys.window, "_NET_WM_ICON")
        if len(icon) != (2 + 64 * 64) * 4 or struct.unpack_from("<II", icon) != (64, 64):
            raise Failure(f"the icon has {len(icon)} bytes")
        told = Told(keys.server.address)
        screen.press("Control_L", "q")
        told.check()
        keys.server.ends("Ctrl-Q")
    finally:
        keys.server.kill()
    keys = Keys(program, screen, presenter, pictures, "--fullscreen")
    try:
        keys.draw()
        keys.shows(SCREEN)
        screen.press("F11")
        keys.shows(CANVAS)
        screen.press("Control_L", "Alt_L", "q")
        keys.server.ends("Ctrl-Alt-Q")
    finally:
        keys.server.kill()
    say("F11 fills the screen and makes it a window again, --fullscreen begins so; Ctrl-Q ends it like its cross")


def bare(program, screen, presenter, pictures):
    """Without a window manager, as on a machine that only shows a display."""
    server = Server(os.path.abspath(program), screen, "--present", presenter, "--fullscreen")
    try:
        window, client = screen.find(server.address), server.client()
        client.call("clear", 0x204060FF)
        same(screen, window, SCREEN, client)
        until("the keyboard", lambda: screen.focused() == window)
        screen.press("F1")
        until("the overlay", lambda: panels(screen, window))
        screen.press("Control_L", "q")
        server.ends("Ctrl-Q")
    finally:
        server.kill()
    say(f"{presenter}: without a window manager --fullscreen fills the screen too, and has the keyboard")


BACKGROUND = bytes((0x20, 0x18, 0x14))
TEXT = b"\xf0\xf0\xf0"


def panels(screen, window):
    """The part of the window that the overlay takes, in rows: those that have the overlay's text."""
    left, top, width, height = screen.on_screen(window)
    rows = (screen.row(left, top + y, width) for y in range(height))
    return [y for y, row in enumerate(rows) if TEXT in row and BACKGROUND in row]


def overlay(program, screen, presenter, pictures):
    """The hint goes with the first drawing call; F1 shows what changes once a second and hides it. No call reads any of it."""
    keys = Keys(program, screen, presenter, pictures, "--background", "#204060")
    seen = lambda: panels(screen, keys.window)
    try:
        until("the hint in the middle", seen)
        rows = seen()
        if not (180 < rows[0] and rows[-1] < 300):
            raise Failure(f"the hint is at the rows {rows[0]} to {rows[-1]} of 480")
        keys.shot("hint")
        if keys.client.call("get_image", 0, 0, *CANVAS) != b"\x20\x40\x60\xff" * (CANVAS[0] * CANVAS[1]):
            raise Failure("the display has another picture than its background")
        # Calls that only read have not ended it.
        until("the hint in the middle", seen)
        keys.client.call("draw_pixel", 0, 0, 0x204060FF)
        keys.shows(CANVAS)
        say(f"{presenter}: while nothing was drawn it says how to connect, and not after the first pixel")
        keys.draw()
        screen.press("F1")
        until("the overlay", seen)
        keys.shot("overlay-first")
        before = shown_in(screen, keys.window)
        for n in range(300):
            keys.client.call("fill_rect", 600, n, 40, 1, 0xFF0000FF)
        until("other figures", lambda: shown_in(screen, keys.window) != before)
        keys.shot("overlay")
        # It stays over what is drawn below it, and in a window of another size.
        keys.client.call("fill_rect", 0, 0, 640, 100, 0x00FF00FF)
        until("the overlay over what was drawn", lambda: seen() and top_right(screen, keys.window) == b"\x00\xff\x00")
        screen.press("F11")
        until("full screen", lambda: screen.on_screen(keys.window) == (0, 0, *SCREEN))
        # The border begins at the top and goes to the bottom.
        until("the picture in full screen", lambda: all(screen.row(0, y, 1)[:3] == BORDER[:3] for y in (0, SCREEN[1] - 1)))
        until("the overlay in full screen", seen)
        keys.shot("overlay-fullscreen")
        screen.press("F11")
        until("a window", lambda: screen.on_screen(keys.window)[2:] == CANVAS)
        until("the overlay in a window", seen)
        screen.press("F1")
        keys.shows(CANVAS)
        screen.press("Control_L", "Alt_L", "h")
        until("the overlay", seen)
        screen.press("Control_L", "Alt_L", "h")
        keys.shows(CANVAS)
        keys.client.close()
        keys.server.ends("SIGTERM", signal.SIGTERM)
    finally:
        keys.server.kill()
    say(f"{presenter}: F1 shows the overlay and hides it; then 0 pixels differ")


def save(program, screen, presenter, pictures):
    """Ctrl-S writes the picture of the display, without what lies over it, to a new file, and says so in the window."""
    directory = os.path.join(screen.directory, f"pictures-{presenter}")
    os.mkdir(directory)
    before = ("env", "-C", directory)
    keys = Keys(program, screen, presenter, pictures, "--size", "640x480", before=before)
    seen = lambda: panels(screen, keys.window)
    low = lambda: (seen() or [0])[-1] > 400
    try:
        keys.draw()
        keys.shows(CANVAS)
        screen.press("F1")
        until("the overlay", seen)
        for count in (1, 2):
            screen.press(*(("Control_L", "s") if count == 1 else ("Control_L", "Alt_L", "s")))
            until(f"{count} files", lambda: len(saved(directory)) == count)
            until("a line in the log", lambda: keys.server.log().count("saved the picture to") == count)
            until("a message at the bottom", low)
            until("the path in the log", lambda: all(name in keys.server.log() for name in saved(directory)))
        keys.shot("saved")
        want = keys.client.call("get_image", 0, 0, *CANVAS)
        for name in saved(directory):
            if not re.fullmatch(r"main-\d{8}-\d{6}(-2)?\.png", name):
                raise Failure(f"a picture was saved as {name}")
            width, height, rows = decode(os.path.join(directory, name))
            if (width, height, b"".join(map(bytes, rows))) != (*CANVAS, want):
                raise Failure(f"{name} is not what the display has")
        until("the end of the message", lambda: not low())
        for name in saved(directory):
            os.remove(os.path.join(directory, name))
        os.rmdir(directory)
        screen.press("Control_L", "s")
        keys.server.logged("start the display in a directory that exists")
        until("a message at the bottom", low)
        keys.shot("not-saved")
        screen.press("F1")
        keys.shows(CANVAS)
        keys.client.close()
        # What was asked for before the end is there after it.
        os.mkdir(directory)
    finally:
        keys.server.kill()
    keys = Keys(program, screen, presenter, pictures, before=before)
    try:
        keys.draw()
        screen.press("Control_L", "s")
        screen.press("Control_L", "q")
        keys.server.ends("Ctrl-S and Ctrl-Q")
        if len(saved(directory)) != 1:
            raise Failure(f"after Ctrl-S and Ctrl-Q there are the pictures {saved(directory)}")
    finally:
        keys.server.kill()
    say(f"{presenter}: Ctrl-S saves what the display has to a new file each time, and says where, or why not")


def saved(directory):
    """The pictures that are whole: others have a hidden name."""
    return sorted(name for name in os.listdir(directory) if not name.startswith("."))


def shown_in(screen, window):
    left, top, _, _ = screen.on_screen(window)
    return [screen.row(left, top + y, 200) for y in range(120)]


def top_right(screen, window):
    left, top, width, _ = screen.on_screen(window)
    return screen.row(left + width - 1, top, 1)[:3]


def main(program, how, pictures=None):
    checks = [overlay] if how == "socket" else [fullscreen, overlay, save]
    presenter, options = ("software", ["-extension", "MIT-SHM"]) if how == "socket" else (how, [])
    with tempfile.TemporaryDirectory() as directory:
        # Without a pointer on the screen: in full screen there is no place beside the window for it.
        screen = Screen(directory, *SCREEN, 24, "-nocursor", *options)
        manager = None
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            bare(program, screen, presenter, pictures)
            manager = Manager(screen)
            for check in checks:
                check(program, screen, presenter, pictures)
        finally:
            if manager:
                manager.stop()
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"keys.py: {failure}")
