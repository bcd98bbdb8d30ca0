"""Measures the window, presented by software, on its own Xvfb: memory, the first frame, the cost of idling, the time
from a changed pixel to the screen, and the number of frames of a film that are seen.

    python3 figures.py SERVER FILM

FILM is the example of that name.

Figures that depend on the machine but not on its load are checked; the others are printed. "Seen" refers to the content
of the screen's memory, so the times include the network, the server, and the X server.
"""
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from process import resident, ticks, wake_ups
from server import Server
from x11 import Failure, Screen, until

RESIDENT = 40_000_000
FIRST_FRAME = 0.2
IDLE = 5


def first_frame(program, screen):
    """Measures the time from the start of the process until its background is on the screen."""
    times = []
    for red in range(100, 105):
        began = time.perf_counter()
        server = Server(program, screen, "--present", "software", "--background", f"#{red:02x}0000")
        try:
            until("the first frame", lambda: screen.row(320, 240, 1)[2] == red, pause=0.0005)
            times.append(time.perf_counter() - began)
        finally:
            server.kill()
    print(f"  first frame: {statistics.median(times) * 1e3:.0f} ms after the start, at most {max(times) * 1e3:.0f}")
    if statistics.median(times) > FIRST_FRAME:
        raise Failure(f"the first frame takes more than {FIRST_FRAME} s")


def small(program, screen):
    server = Server(program, screen, "--present", "software")
    try:
        pid, client = server.process.pid, server.client()
        screen.find(server.address)
        client.call("clear", 0x000000FF)
        time.sleep(1)
        before, woken = ticks(pid), wake_ups(pid)
        time.sleep(IDLE)
        spent, woken = ticks(pid) - before, wake_ups(pid) - woken
        print(f"  idle: {spent} ticks of processor time and {woken} wake-ups in {IDLE} s")
        latency(screen, client)
        bytes_ = resident(pid)
        print(f"  memory: {bytes_ / 1e6:.1f} MB at 640x480")
        if spent > 0:
            raise Failure(f"it used {spent} ticks while nothing was drawn")
        if bytes_ > RESIDENT:
            raise Failure(f"it uses {bytes_} bytes, more than {RESIDENT}")
    finally:
        server.kill()


def latency(screen, client):
    times = []
    for n in range(150):
        value = n % 200 + 1
        time.sleep(0.03)
        began = time.perf_counter()
        client.send("draw_pixel", 320, 240, value << 24 | 0xFF)
        while screen.row(320, 240, 1)[2] != value:
            if time.perf_counter() - began > 5:
                raise Failure("a changed pixel was not shown within 5 s")
        times.append(time.perf_counter() - began)
        client.answer()
    times.sort()
    print(f"  a changed pixel is on the screen after {statistics.median(times) * 1e6:.0f} us (median), "
          f"{times[len(times) * 99 // 100] * 1e6:.0f} us (99 of 100), {times[-1] * 1e6:.0f} us (longest)")


def film(program, player, screen, present, rate, seconds=2):
    """Draws whole pictures one after the other, and measures how many are drawn and presented per second."""
    server = Server(program, screen, "--present", present, "--size", "1920x1080", "--log", "debug")
    try:
        if present != "none":
            screen.find(server.address)
        before, began = ticks(server.process.pid), time.perf_counter()
        played = subprocess.run([player, "--display", server.address, "--rate", str(rate), "--seconds", f"{seconds}s"],
                                check=True, capture_output=True, text=True, timeout=60).stdout
        cpu = (ticks(server.process.pid) - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - began)
        server.ends("SIGTERM", signal.SIGTERM)
        drawn = float(re.search(r"([\d.]+) a second", played)[1])
        presented = re.search(r"presented (\d+) frames? window=", server.log())
        shown = f", {int(presented[1]) / seconds:.1f} presented" if presented else ""
        print(f"  film, 1920x1080, {present}: {drawn:.1f} pictures a second drawn{shown}; "
              f"the server used {cpu * 100:.0f} % of a core")
        return drawn
    finally:
        server.kill()


def main(program, player):
    with tempfile.TemporaryDirectory() as directory:
        screen = Screen(directory, 1920, 1080)
        try:
            screen.point(screen.root, 1919, 1079)
            first_frame(program, screen)
            small(program, screen)
            film(program, player, screen, "software", 60)
            ratios = []
            for _ in range(5):
                headless = film(program, player, screen, "none", 0)
                ratios.append(film(program, player, screen, "software", 0) / headless)
            print(f"  as fast as it can, drawing with a window is {statistics.median(ratios) * 100:.0f} % of that without "
                  f"(from {min(ratios) * 100:.0f} to {max(ratios) * 100:.0f})")
        finally:
            screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"figures.py: {failure}")
