"""Runs the examples that have a window on its own Xvfb, uses them as a person would, and takes the book's picture.

    python3 examples.py DIRECTORY PICTURE.png [--write]

DIRECTORY contains the examples `circle` and `mouse`. PICTURE.png is compared with a screenshot of the circle's window;
with --write it is replaced by the screenshot.
"""
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from x11 import DEADLINE, Failure, Screen, until

ORANGE = bytes((0x00, 0xA5, 0xFF))


class Program:
    def __init__(self, screen, *command):
        env = os.environ | {"DISPLAY": screen.display, "XDG_RUNTIME_DIR": screen.directory}
        for name in ("WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DRAW_DISPLAY"):
            env.pop(name, None)
        self.output = os.path.join(screen.directory, "output")
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(command, env=env, cwd=screen.directory, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output)
        self.command = " ".join(map(os.path.basename, command))

    def said(self, part):
        def look():
            with open(self.output, encoding="utf-8") as output:
                return part in output.read() or self.process.poll() is not None
        until(f"{self.command} to say {part!r}", look)
        with open(self.output, encoding="utf-8") as output:
            text = output.read()
        if part not in text:
            raise Failure(f"{self.command} did not say {part!r}:\n{text}")

    def stays(self):
        time.sleep(0.3)
        if self.process.poll() is not None:
            raise Failure(f"{self.command} ended by itself with status {self.process.returncode}")

    def ends(self, how):
        status = self.process.wait(DEADLINE)
        with open(self.output, encoding="utf-8") as output:
            text = output.read()
        if status != 0 or "panicked" in text:
            raise Failure(f"{self.command}, {how}, ended with status {status}:\n{text}")
        print(f"  {self.command}, {how}: status 0", flush=True)


def png(width, height, rows):
    """Returns a PNG from rows of pixels with bytes B, G, R and one unused."""
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def line(row):
        out = bytearray(b"\xff" * len(row))
        out[0::4], out[1::4], out[2::4] = row[2::4], row[1::4], row[0::4]
        return b"\0" + bytes(out)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"".join(map(line, rows)), 9)) + chunk(b"IEND", b""))


def shot(screen, window):
    left, top, width, height = screen.place(window)
    return png(width, height, [screen.row(left, top + y, width) for y in range(height)])


def pixels(data):
    """Returns the header and the rows of a PNG made by `png`."""
    at, body = 8, {}
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body[name] = data[at + 8:at + 8 + length]
        at += length + 12
    return body[b"IHDR"], zlib.decompress(body[b"IDAT"])


def circle(screen, program, picture, is_written):
    run = Program(screen, program)
    run.said("close the window")
    window = screen.find("")
    until("the circle in the window", lambda: screen.row(320, 240, 1)[:3] == ORANGE)
    # The frame that shows the last row may be the next one.
    until("all of it", lambda: screen.row(320, 289, 1)[:3] == ORANGE and screen.row(320, 190, 1)[:3] == ORANGE)
    taken = shot(screen, window)
    if is_written:
        with open(picture, "wb") as file:
            file.write(taken)
    with open(picture, "rb") as file:
        if pixels(file.read()) != pixels(taken):
            raise Failure(f"the window shows something else than {picture}: look at both, and if that is as it should "
                          f"be, let `{' '.join(sys.argv)} --write` replace it")
    print(f"  {picture} is what the window shows")
    run.stays()
    screen.close(window)
    run.ends("its window closed")
    run = Program(screen, program)
    run.said("close the window")
    run.stays()
    run.process.send_signal(signal.SIGINT)
    run.ends("Ctrl-C")
    Program(screen, program, "--exit").ends("left alone")


def mouse(screen, program):
    for how in ("its window closed", "Ctrl-C"):
        screen.point(screen.root, screen.width - 1, screen.height - 1)
        run = Program(screen, program, "--color", "orange")
        run.said("painting")
        window = screen.find("")
        for x, y in [(100, 100), (200, 150), (300, 50)]:
            screen.point(window, x, y)
            until(f"paint at ({x}, {y})", lambda: screen.row(x, y, 1)[:3] == ORANGE)
        # The pointer never was half way between the first two places.
        if screen.row(150, 125, 1)[:3] != ORANGE or screen.row(150, 300, 1)[:3] == ORANGE:
            raise Failure("the strokes are not where the pointer went")
        if how == "Ctrl-C":
            run.process.send_signal(signal.SIGINT)
        else:
            screen.close(window)
        run.ends(how)


def main(directory, picture, write=None):
    with tempfile.TemporaryDirectory() as scratch:
        screen = Screen(scratch, 900, 700)
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            circle(screen, os.path.join(directory, "circle"), picture, write == "--write")
            mouse(screen, os.path.join(directory, "mouse"))
        finally:
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"examples.py: {failure}")
