"""A display server on a temporary screen, and the expected content of its window."""
import os
import select
import signal
import subprocess

from draw import Draw
from x11 import DEADLINE, Failure, until

BORDER = b"\x30\x30\x30\0"


class Server:
    def __init__(self, program, screen, *options, before=(), **environment):
        """`before` is the start of the command line, such as a program that changes the server's environment."""
        self.log_path = os.path.join(screen.directory, "server.log")
        env = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "WAYLAND_SOCKET")}
        env |= {"DISPLAY": screen.display, "XDG_RUNTIME_DIR": screen.directory, **environment}
        env = {name: value for name, value in env.items() if value is not None}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*before, program, "--listen", "127.0.0.1:0", *options], env=env,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.wait_readable()
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            raise Failure(f"the server's first line is {line!r}; its log:\n{self.log()}")
        self.address = line.split()[2]

    def wait_readable(self):
        readable, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        if not readable:
            self.kill()
            raise Failure(f"the server did not print its first line within {DEADLINE} s; its log:\n{self.log()}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def logged(self, part):
        try:
            until(f"{part!r} in the log", lambda: part in self.log() or self.process.poll() is not None)
        except Failure as failure:
            raise Failure(f"{failure}; the log:\n{self.log()}") from None
        if part not in self.log():
            raise Failure(f"no {part!r} in the log:\n{self.log()}")

    def client(self):
        return Draw(self.address)

    def ends(self, why, signalled=None):
        """Checks that the server ends with status 0 and that no panic was hidden."""
        if signalled is not None:
            self.process.send_signal(signalled)
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{why}: the server did not end; its log:\n{self.log()}") from None
        if status != 0 or "panicked" in self.log():
            raise Failure(f"{why}: the server ended with status {status}; its log:\n{self.log()}")

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(DEADLINE)


def shrunk(canvas, room):
    """Returns the largest size with the proportions of `canvas` that fits."""
    (width, height), (w, h) = canvas, room
    if width <= w and height <= h:
        return canvas
    if w * height <= h * width:
        return w, max(1, (2 * height * w + width) // (2 * width))
    return max(1, (2 * width * h + height) // (2 * height)), h


def weights(cell, cells, pixels):
    """Returns the pixels that a cell covers along one side, each with its weight out of 256."""
    start = cell * pixels
    share = lambda place: (min(max(place, start), start + pixels) - start) * 256 // pixels
    return [(pixel, share((pixel + 1) * cells) - share(pixel * cells))
            for pixel in range(start // cells, -(-(start + pixels) // cells))]


def average(picture, cells):
    """Returns a picture reduced to these columns and rows: each cell is the average of the area that it covers."""
    rows = [b"".join(pixel[:3] for pixel in row) for row in picture]
    columns = [weights(column, cells[0], len(picture[0])) for column in range(cells[0])]
    small = []
    for row in range(cells[1]):
        sums = [0] * len(rows[0])
        for y, weight in weights(row, cells[1], len(rows)):
            sums = [total + weight * channel for total, channel in zip(sums, rows[y])]
        small.append([bytes([((1 << 15) + sum(sums[x * 3 + c] * weight for x, weight in column)) >> 16
                             for c in range(3)]) + b"\0" for column in columns])
    return small


class Layout:
    """The positions of a display's pixels, of size `canvas`, in a window, computed independently of the server's
    code."""

    def __init__(self, window, canvas):
        self.window, self.canvas = window, canvas
        self.scale = max(1, min(window[0] // canvas[0], window[1] // canvas[1]))
        self.cells = shrunk(canvas, window)
        self.start = tuple((room - cells * self.scale) // 2 for room, cells in zip(window, self.cells))

    def pixel(self, x, y):
        return [(2 * ((at - start) // self.scale) + 1) * pixels // (2 * cells)
                for at, start, pixels, cells in zip((x, y), self.start, self.canvas, self.cells)]

    def rows(self, picture):
        """Returns the rows of the window, as bytes B, G, R, 0."""
        width, height = self.window
        left, top = self.start
        border = BORDER * width
        rows = [border] * top
        for cells in picture if self.cells == self.canvas else average(picture, self.cells):
            row = b"".join(pixel * self.scale for pixel in cells)
            row = BORDER * left + row + BORDER * (width - left - self.cells[0] * self.scale)
            rows += [row] * self.scale
        return rows + [border] * (height - len(rows))


def over_black(rgba, width):
    """Returns the rows of a picture as it is shown: lists of pixels B, G, R, 0."""
    def shown(r, g, b, a):
        # Rounded to the nearest; 255 is odd, so there is no tie.
        return bytes((2 * c * a + 255) // 510 for c in (b, g, r)) + b"\0"
    pixels = [shown(*rgba[i:i + 4]) for i in range(0, len(rgba), 4)]
    return [pixels[i:i + width] for i in range(0, len(pixels), width)]


def difference(screen, window, layout, rows):
    """Returns a sentence about the first difference between the window and the expected rows, or None."""
    place = screen.place(window)
    if place is None or place[2:] != layout.window:
        return f"the window is {place}, not {layout.window}"
    left, top, width, height = place
    if left < 0 or top < 0 or left + width > screen.width or top + height > screen.height:
        return f"the window is not wholly on the screen: {place}"
    wrong, first = 0, None
    for y, want in enumerate(rows):
        got = screen.row(left, top + y, width)
        # The fourth byte of a pixel is unused.
        if any(got[c::4] != want[c::4] for c in range(3)):
            for x in range(width):
                if got[x * 4:x * 4 + 3] != want[x * 4:x * 4 + 3]:
                    wrong += 1
                    first = first or (x, y, want[x * 4:x * 4 + 3].hex(), got[x * 4:x * 4 + 3].hex())
    if not wrong:
        return None
    x, y, want, got = first
    return (f"{wrong} of {width * height} pixels differ in a window of {width}x{height}; the first is ({x}, {y}), "
            f"blue, green and red {got}, expected {want}")


def same(screen, window, size, client):
    """Checks that the window shows every pixel that the display returns over the network, and the border."""
    canvas = tuple(client.call("get_size"))
    layout = Layout(size, canvas)
    rows = layout.rows(over_black(client.call("get_image", 0, 0, *canvas), canvas[0]))
    try:
        until("the right picture", lambda: difference(screen, window, layout, rows) is None, 10, 0.02)
    except Failure:
        raise Failure(difference(screen, window, layout, rows) or "the right picture came too late") from None
    return layout
