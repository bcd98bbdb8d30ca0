"""Draws a picture as a minimal Pixelflut client does, reads it back, and ends the display.

    python3 pixelflut.py DISPLAY_SERVER     the program; needs nothing but Python

Exits with a sentence and a non-zero status at the first difference.
"""
import re
import socket
import subprocess
import sys

# Far longer than anything here takes, so that a display that hangs causes a failure instead of an endless wait.
DEADLINE = 60
WIDTH, HEIGHT = 320, 240


def check(holds, sentence):
    if not holds:
        sys.exit(f"pixelflut.py: {sentence}")


def color(x, y):
    return f"{x * 7919 + y * 104729 & 0xFFFFFF:06x}"


def main():
    command = [sys.argv[1], "--headless", "--log", "warn", "--size", f"{WIDTH}x{HEIGHT}"]
    command += ["--listen", "127.0.0.1:0", "--pixelflut", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = [server.stdout.readline() for _ in range(2)]
            found = re.fullmatch(r"listening for Pixelflut on 127\.0\.0\.1:(\d+)\n", lines[1])
            check(found, f"the first lines are {lines!r}")
            talk(int(found[1]))
        finally:
            server.terminate()
            status = server.wait(DEADLINE)
    check(status == 0, f"the display ended with status {status}")


def talk(port):
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client, client.makefile("r") as replies:
        client.sendall(b"SIZE\n")
        size = replies.readline()
        check(size == f"SIZE {WIDTH} {HEIGHT}\n", f"SIZE replies {size!r}")
        places = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
        client.sendall("".join(f"PX {x} {y} {color(x, y)}\n" for x, y in places).encode())
        # Row by row: the display stops reading from a client that sends requests without reading answers.
        for y in range(HEIGHT):
            row = [f"PX {x} {y}" for x in range(WIDTH)]
            client.sendall("".join(line + "\n" for line in row).encode())
            for x, line in enumerate(row):
                reply = replies.readline()
                check(reply == f"{line} {color(x, y)}\n", f"{line} replies {reply!r}, not {color(x, y)}")
    print(f"drew and read {len(places)} pixels of Pixelflut")


main()
