"""Runs a display server on an Xvfb that accepts fewer clients than there are windows, and checks that the windows with
a connection show their displays, that the log names each of the others and what to do, and that all displays are
served.

    python3 full.py SERVER
"""
import re
import signal
import socket
import struct
import sys
import tempfile

from draw import Named
from server import Server, same
from x11 import DEADLINE, Failure, Screen

# The smallest limit that Xvfb accepts.
CLIENTS = 64
# The X server counts itself, and the connection of `Screen`.
OTHERS = 2
FULL = "it has no connection left (Maximum number of clients reached)"
ADVICE = "open fewer windows, close other programs, or start it with a larger -maxclients"


def take(screen, count):
    """Connects this many clients to the X server, or as many as it accepts."""
    held = []
    while len(held) < count:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE)
        client.connect(f"/tmp/.X11-unix/X{screen.number}")
        client.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        if client.recv(1) != b"\1":
            client.close()
            break
        held.append(client)
    return held


def some(program, screen):
    """Tests that three of the 8 windows of 2 displays have a connection. The event loop takes one more."""
    held = take(screen, CLIENTS - OTHERS - 4)
    server = Server(program, screen, "--present", "software", "--size", "64x48", "--add", "plots=80x40", "--windows", "4")
    try:
        server.logged("3 others stay open, and all displays are served")
        failed = re.findall(r'cannot present to a window, (\d+) others stay open, and all displays are served: cannot '
                            r'connect to the X server: (.*) window="(.*?)"', server.log())
        if [count for count, _, _ in failed] != ["7", "6", "5", "4", "3"]:
            raise Failure(f"expected that five windows fail, one by one, and the log is:\n{server.log()}")
        names = [f"{server.address}/main (4)"] + [f"{server.address}/plots{n}" for n in ("", " (2)", " (3)", " (4)")]
        if [name for _, _, name in failed] != names:
            raise Failure(f"expected that {names} fail, and the log is:\n{server.log()}")
        if not all(FULL in reason and ADVICE in reason for _, reason, _ in failed):
            raise Failure(f"the log does not say why, or what to do:\n{server.log()}")
        main, plots = Named(server.address, "main"), Named(server.address, "plots")
        main.draw("fill_rect", 3, 4, 50, 30, 0xFF8000FF)
        plots.draw("fill_rect", 3, 4, 50, 30, 0x00FF00FF)
        if plots.call("get_pixel", 5, 6) != 0x00FF00FF:
            raise Failure("a display without windows does not draw")
        for name in ("", " (2)", " (3)"):
            window = screen.find(f"{server.address}/main{name} - ")
            screen.raise_window(window)
            same(screen, window, (64, 48), main)
        server.ends("SIGTERM", signal.SIGTERM)
    finally:
        server.kill()
        for client in held:
            client.close()
    print("  3 connections for 8 windows: the log names each of the other five and says what to do", flush=True)


def none(program, screen):
    """Tests that the server serves when no connection is left, even for the event loop."""
    held = take(screen, CLIENTS)
    server = Server(program, screen, "--present", "software", "--size", "64x48")
    try:
        says = f"no window, serving without one: the X server at DISPLAY={screen.display} refuses the connection: {FULL}"
        server.logged(says)
        server.logged(ADVICE)
        client = server.client()
        client.call("fill_rect", 3, 4, 50, 30, 0xFF8000FF)
        if client.call("get_pixel", 5, 6) != 0xFF8000FF:
            raise Failure("a display without a window does not draw")
        client.close()
        server.ends("SIGTERM", signal.SIGTERM)
    finally:
        server.kill()
        for client in held:
            client.close()
    print("  no connection for any window: the log says why and what to do", flush=True)


def main(program):
    for check in (some, none):
        with tempfile.TemporaryDirectory() as directory:
            screen = Screen(directory, 800, 600, 24, "-maxclients", str(CLIENTS))
            try:
                check(program, screen)
            finally:
                screen.stop()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"full.py: {failure}")
