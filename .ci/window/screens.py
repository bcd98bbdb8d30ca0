"""Runs a display server on unusual screens: without shared memory, with few or many colours, smaller than the display,
or frozen. Each is a separate Xvfb.

    python3 screens.py SERVER EXAMPLES memory|depth|small|still

EXAMPLES is the directory of the example `circle`.
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from server import Server, average, over_black, same
from x11 import DEADLINE, Failure, Screen, until

CANVAS = (640, 480)
# A server ends within this time, regardless of its clients and its screen, as docs/window.md promises.
END = 2.0


def say(sentence):
    print(f"  {sentence}", flush=True)


def with_screen(check, *arguments):
    with tempfile.TemporaryDirectory() as directory:
        screen = Screen(directory, *arguments)
        try:
            screen.point(screen.root, screen.width - 1, screen.height - 1)
            return check(screen)
        finally:
            screen.stop()




# Memory ---------------------------------------------------------------------------------------------------------------

def large(program, screen, what, says, before=(), later="", size=(2100, 2050)):
    """Tests a picture of more bytes than an X request may have, in a window of its size."""
    server = Server(program, screen, "--present", "software", "--size", f"{size[0]}x{size[1]}", before=before)
    try:
        window, client = screen.find(server.address), server.client()
        server.logged(says)
        rows = [random.Random(y).randbytes(size[0] * 4) for y in range(size[1])]
        for y, row in enumerate(rows):
            opaque = bytearray(row)
            opaque[3::4] = b"\xff" * size[0]
            rows[y] = bytes(opaque)
        for y in range(0, size[1], 205):
            client.call("put_image", 0, y, size[0], 205, b"".join(rows[y:y + 205]))
        shows(screen, window, size, rows)
        # One row alone, then the window as it is after a change of size and back.
        client.call("fill_rect", 0, 1000, size[0], 1, 0x102030FF)
        rows[1000] = b"\x10\x20\x30\xff" * size[0]
        shows(screen, window, size, rows)
        screen.resize(window, screen.width, screen.height)
        shows(screen, window, size, rows)
        server.logged(later)
        client.close()
        server.ends("SIGTERM", signal.SIGTERM)
        is_content(server)
        say(f"{what}: {size[0]}x{size[1]}, 0 pixels differ")
    finally:
        server.kill()


def is_content(server):
    if " ERROR " in server.log() or " WARN " in server.log():
        raise Failure(f"the server's log has a warning:\n{server.log()}")


def shows(screen, window, size, rows):
    def is_right():
        place = screen.place(window)
        if place is None or min(place[:2]) < 0 or place[2] < size[0] or place[3] < size[1]:
            return False
        left, top = (at + (room - side) // 2 for at, room, side in zip(place[:2], place[2:], size))
        for y, row in enumerate(rows):
            got = screen.row(left, top + y, size[0])
            if (got[2::4], got[1::4], got[0::4]) != (row[0::4], row[1::4], row[2::4]):
                return False
        return True
    until(f"the right picture of {size[0]}x{size[1]}", is_right, pause=0.05)


def memory(program, _):
    def room(size):
        return ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$0" "$@"']
    few = ["bash", "-c", 'ulimit -f 1000 && exec "$0" "$@"']

    def usual(screen):
        large(program, screen, "1 MiB in /dev/shm", "not enough room in /dev/shm", room("1m"))
        large(program, screen, "room in /dev/shm for the display alone", "presenting with", room("22m"),
              "no memory is shared with the X server")
        large(program, screen, "files of at most 1 MB (ulimit -f)", "the limit of file sizes (ulimit -f)", few)
    with_screen(usual, 2200, 2200)
    with_screen(lambda screen: large(program, screen, "an X server without MIT-SHM", "does not have the extension MIT-SHM"),
                2200, 2200, 24, "-extension", "MIT-SHM")


# Depths ---------------------------------------------------------------------------------------------------------------

def value(channel, mask):
    """Returns the nearest value to an 8-bit channel that the bits of a mask can represent."""
    shift = (mask & -mask).bit_length() - 1
    return (2 * channel * (mask >> shift) + 255) // 510 << shift


def depth_of(program, depth):
    def check(screen):
        server = Server(program, screen, "--present", "software")
        try:
            window, client = screen.find(server.address), server.client()
            rgba = random.Random(depth).randbytes(CANVAS[0] * CANVAS[1] * 4)
            client.call("put_image", 0, 0, *CANVAS, rgba)
            picture = over_black(rgba, CANVAS[0])
            tables = [[value(channel, mask) for channel in range(256)] for mask in screen.masks]

            def pixels(rows):
                return [b"".join((tables[0][r] | tables[1][g] | tables[2][b]).to_bytes(screen.bytes, "little")
                                 for b, g, r, _ in row) for row in rows]
            for size in (CANVAS, (600, 450)):
                screen.resize(window, *size)
                rows = pixels(picture if size == CANVAS else average(picture, size))

                def is_right():
                    place = screen.place(window)
                    return place[2:] == size and all(
                        screen.row(place[0], place[1] + y, size[0]) == row for y, row in enumerate(rows))
                until(f"the right picture on a screen of depth {depth}", is_right, pause=0.05)
            client.close()
            server.ends("SIGTERM", signal.SIGTERM)
            is_content(server)
            say(f"depth {depth}, {screen.bytes * 8} bits a pixel: 0 pixels differ")
        finally:
            server.kill()
    with_screen(check, 1280, 1024, depth)


def table_of_colours(program):
    def check(screen):
        for present in ("auto", "software"):
            server = Server(program, screen, "--present", present)
            try:
                client = server.client()
                client.call("fill_rect", 1, 2, 3, 4, 0xFF8000FF)
                server.logged("use a screen of depth 15, 16, 24 or 30")
                if client.call("get_pixel", 2, 3) != 0xFF8000FF:
                    raise Failure("it does not serve")
                client.close()
                server.ends("SIGTERM", signal.SIGTERM)
                lines = [line for line in server.log().splitlines() if " WARN " in line or " ERROR " in line]
                if len(lines) != 1:
                    raise Failure(f"a screen of depth 8: the log has {lines}")
            finally:
                server.kill()
        say(f"depth 8: {lines[0].split(maxsplit=1)[1].strip()}")
    with_screen(check, 1280, 1024, 8)


def depth(program, _):
    for bits in (15, 16, 30):
        depth_of(program, bits)
    table_of_colours(program)


# Small windows --------------------------------------------------------------------------------------------------------

def small(program, _):
    """Tests that a line one pixel wide is visible in a window that is slightly smaller than the display."""
    def check(screen):
        for present in ("software", "gpu"):
            server = Server(program, screen, "--present", present)
            try:
                window, client = screen.find(server.address), server.client()
                lines = {"rows": range(3, 470, 7), "columns": range(3, 630, 7)}
                for size in ((600, 450), (639, 479), (330, 250)):
                    screen.resize(window, *size)
                    for what, places in lines.items():
                        client.call("clear", 0x000000FF)
                        for place in places:
                            area = (0, place, 640, 1) if what == "rows" else (place, 0, 1, 480)
                            client.call("fill_rect", *area, 0xFFFFFFFF)
                        layout = same(screen, window, size, client)
                        left, top = (at + start for at, start in zip(screen.place(window), layout.start))
                        for place in places:
                            # The window pixels that show a part of the line, in the middle of the window.
                            axis = 1 if what == "rows" else 0
                            cells, pixels = layout.cells[axis], CANVAS[axis]
                            near = range(place * cells // pixels, -(-(place + 1) * cells // pixels))
                            light = max(screen.row(*((left + size[0] // 3, top + at) if axis else
                                                     (left + at, top + size[1] // 3)), 1)[1] for at in near)
                            if light < 0x40:
                                raise Failure(f"{size[0]}x{size[1]}: a line at {what} {place} has a brightness of {light}")
                client.close()
                server.ends("SIGTERM", signal.SIGTERM)
            finally:
                server.kill()
            say(f"{present}: every line of one pixel is seen in windows of 600x450, 639x479 and 330x250")
    with_screen(check, 1400, 1100)


# Frozen screen --------------------------------------------------------------------------------------------------------

def ends_in_time(server, what):
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        status = server.process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        raise Failure(f"{what}: the server did not end; its log:\n{server.log()}") from None
    took = time.monotonic() - began
    if status != 0 or "panicked" in server.log():
        raise Failure(f"{what}: the server ended with status {status}; its log:\n{server.log()}")
    if took > END:
        raise Failure(f"{what}: the server took {took:.1f} s to end")
    return took


def frozen_at_first(program, screen):
    """Tests that the server serves at once, ends in time, and opens its window when the screen answers."""
    path = os.path.join(screen.directory, "snapshot.png")
    for present in ("auto", "software"):
        for is_thawed in (False, True):
            screen.freeze()
            began = time.monotonic()
            server = Server(program, screen, "--present", present, "--snapshot", path)
            try:
                client = server.client()
                client.call("fill_rect", 10, 20, 300, 200, 0xFF8000FF)
                if client.call("get_pixel", 12, 22) != 0xFF8000FF:
                    raise Failure("it does not serve")
                took = time.monotonic() - began
                if is_thawed:
                    server.logged("has not answered for 5s")
                    screen.thaw()
                    same(screen, screen.find(server.address), CANVAS, client)
                    client.close()
                    server.ends("the screen came late", signal.SIGTERM)
                    say(f"{present}: serves after {took * 1e3:.0f} ms; the screen comes late, and so does the window")
                else:
                    # With a client that stays connected and receives nothing.
                    took = ends_in_time(server, "the screen never answered")
                    say(f"{present}: the screen never answers, the server ends {took:.2f} s after SIGTERM")
                os.remove(path)
            finally:
                server.kill()
                screen.thaw()


def frozen_later(program, screen):
    path = os.path.join(screen.directory, "snapshot.png")
    for present in ("software", "gpu"):
        server = Server(program, screen, "--present", present, "--snapshot", path)
        is_over = threading.Event()
        drawing = None
        try:
            window, client = screen.find(server.address), server.client()
            client.call("clear", 0x204060FF)
            same(screen, window, CANVAS, client)
            screen.freeze()

            def draw(client):
                try:
                    while not is_over.is_set():
                        client.call("fill_rect", 0, 0, 640, 480, random.randrange(1 << 24) << 8 | 0xFF)
                except (Failure, OSError):
                    pass
            slowest = 0
            for n in range(300):
                began = time.monotonic()
                client.call("fill_rect", n, n, 100, 100, 0x00FF00FF)
                slowest = max(slowest, time.monotonic() - began)
            # Long enough for the window's thread to block on the screen.
            if slowest > 5:
                raise Failure(f"a call took {slowest:.1f} s while the screen stood still")
            screen.thaw()
            same(screen, window, CANVAS, client)
            screen.freeze()
            drawing = threading.Thread(target=draw, args=(server.client(),))
            drawing.start()
            until("frames that nobody takes", lambda: is_waiting(server.process.pid))
            took = ends_in_time(server, "the screen stands still")
            os.remove(path)
            say(f"{present}: the screen stands still, a call takes at most {slowest * 1e3:.1f} ms; goes on; stands still "
                f"again, and the server ends {took:.2f} s after SIGTERM")
        finally:
            is_over.set()
            server.kill()
            screen.thaw()
            if drawing:
                drawing.join()


def is_waiting(pid):
    """Returns whether the window's thread is blocked: it was not scheduled for a while."""
    def spent():
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/comm") as name, open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                    if name.read().strip() == "window":
                        return stat.read().split()[2]
            except FileNotFoundError:
                pass
        return None
    before = spent()
    time.sleep(0.2)
    return spent() == before


def frozen_for_a_program(examples, screen):
    """Tests that a frozen screen does not keep a program with its own display running either."""
    screen.freeze()
    try:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("WAYLAND_", "DRAW_"))}
        run = subprocess.run([os.path.join(examples, "circle"), "--exit"], cwd=screen.directory, timeout=3 * DEADLINE,
                             env=env | {"DISPLAY": screen.display}, capture_output=True, text=True)
        if run.returncode != 0 or not os.path.exists(os.path.join(screen.directory, "circle.png")):
            raise Failure(f"circle ended with status {run.returncode}:\n{run.stdout}{run.stderr}")
        say("circle --exit: draws, and ends by itself")
    except subprocess.TimeoutExpired as hung:
        raise Failure(f"circle --exit did not end:\n{hung.stdout}{hung.stderr}") from None
    finally:
        screen.thaw()


def still(program, examples):
    def check(screen):
        frozen_at_first(program, screen)
        frozen_later(program, screen)
        frozen_for_a_program(examples, screen)
    with_screen(check, 1280, 1024)


def main(program, examples, what):
    {"memory": memory, "depth": depth, "small": small, "still": still}[what](program, examples)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"screens.py: {failure}")
