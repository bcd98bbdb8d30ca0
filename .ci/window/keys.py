"""Runs a display server on an Xvfb with a window manager, presses the keys that are for the window, and looks at the screen.

    python3 keys.py SERVER software|gpu [SCREENSHOTS]

With SCREENSHOTS, a directory, pictures of what was looked at are written there.
"""
import os
import signal
import struct
import subprocess
import sys
import tempfile

from server import Server, same
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

    def __init__(self, program, screen, presenter, pictures, *options):
        self.screen, self.presenter, self.pictures = screen, presenter, pictures
        self.server = Server(program, screen, "--present", presenter, *options)
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
        until("full screen", lambda: screen.on_screen(keys.window)[2:] == SCREEN)
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


def shown_in(screen, window):
    left, top, _, _ = screen.on_screen(window)
    return [screen.row(left, top + y, 200) for y in range(120)]


def top_right(screen, window):
    left, top, width, _ = screen.on_screen(window)
    return screen.row(left + width - 1, top, 1)[:3]


def main(program, presenter, pictures=None):
    with tempfile.TemporaryDirectory() as directory:
        # Without a pointer on the screen: in full screen there is no place beside the window for it.
        screen = Screen(directory, *SCREEN, 24, "-nocursor")
        manager = None
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            manager = Manager(screen)
            fullscreen(program, screen, presenter, pictures)
            overlay(program, screen, presenter, pictures)
        finally:
            if manager:
                manager.stop()
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"keys.py: {failure}")
