"""Runs packaging/Dockerfile without a container runtime: its last stage in a directory that contains only its files and
the programs that they need, as its user, as process 1 of its own process and network namespace. Tests the health check
and the time to stop.

    unshare --net python3 container.py DISPLAY-SERVER

DISPLAY-SERVER is a program without windows, in place of the one that the first stage builds. Needs root. Standard library only.
"""
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 30
# The longest times to stop that the documents promise: for a server without clients and without a journal, and for any
# other.
IDLE, BUSY = 0.1, 2.0


def fail(sentence):
    sys.exit(f"container.py: {sentence}")


def instructions():
    """Returns the instructions of the Dockerfile by stage: pairs of an instruction word and its text."""
    text = (REPOSITORY / "packaging/Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    stages = []
    for word, rest in (line.split(maxsplit=1) for line in text.splitlines() if line.strip()):
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def one(stage, word):
    found = [rest for name, rest in stage if name == word]
    if len(found) != 1:
        fail(f"the last stage of the Dockerfile has {len(found)} lines {word}, not one")
    return found[0]


def install(root, program, place):
    """Copies a program and the libraries that it loads into the root."""
    target = root / place.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, target)
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    for library in re.findall(r"(/\S+) \(0x", done.stdout):
        copy = root / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            shutil.copy(library, copy)


def build(root, stage, program):
    """Executes COPY and RUN of the stage. First copies into the root what they and the health check need from the base
    image."""
    for name in ("proc", "tmp", "var/lib"):
        (root / name).mkdir(parents=True)
    for place in ("/bin/bash", "/bin/sh", "/usr/bin/install"):
        install(root, os.path.realpath(shutil.which(Path(place).name)), place)
    for word, rest in stage:
        if word == "COPY":
            *flags, source, place = rest.split()
            if "--from=build" in flags:
                install(root, program, place)
            else:
                install(root, REPOSITORY / source, place)
            modes = [int(flag.partition("=")[2], 8) for flag in flags if flag.startswith("--chmod=")]
            os.chmod(root / place.lstrip("/"), *(modes or [0o755]))
        elif word == "RUN":
            subprocess.run(["chroot", root, "/bin/sh", "-c", rest], check=True, timeout=SECONDS)


def loopback():
    """Enables the loopback device of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0x41)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


class Container:
    def __init__(self, root, stage, *options):
        self.root, self.user = root, one(stage, "USER")
        self.health = json.loads(one(stage, "HEALTHCHECK").partition("CMD ")[2])
        self.signal = getattr(signal, one(stage, "STOPSIGNAL"))
        entry = json.loads(one(stage, "ENTRYPOINT"))
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--fork", "--kill-child", f"--mount-proc={root}/proc", *self.inside(), *entry, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline()
        if line != b"listening on 0.0.0.0:3729\n":
            self.process.kill()
            fail(f"the first line is {line!r}; the log: {self.process.stderr.read().decode()}")
        pid = self.process.pid
        self.server = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def inside(self):
        return ["chroot", f"--userspec={self.user}", self.root]

    def is_healthy(self):
        done = subprocess.run([*self.inside(), *self.health], capture_output=True, timeout=SECONDS)
        return done.returncode == 0

    def check_user(self):
        status = Path(f"/proc/{self.server}/status").read_text()
        ids = {word for name in ("Uid", "Gid") for word in re.search(rf"^{name}:(.*)$", status, re.M)[1].split()}
        number = re.search(r"^NSpid:.*\s(\d+)$", status, re.M)[1]
        if "0" in ids or number != "1":
            fail(f"it runs with the ids {ids}, as process {number}")

    def stop(self):
        """Ends the container as `docker stop` does. Returns the seconds that this took."""
        began = time.monotonic()
        os.kill(self.server, self.signal)
        _, log = self.process.communicate(timeout=SECONDS)
        took = time.monotonic() - began
        if self.process.returncode != 0:
            fail(f"it ended with status {self.process.returncode}; its log: {log.decode()}")
        return took


def main(program):
    if not os.path.exists("/proc/net/dev") or len(Path("/proc/net/dev").read_text().splitlines()) != 3:
        fail("start it with `unshare --net`: it serves all addresses")
    loopback()
    stage = instructions()[-1]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        build(root, stage, program)
        os.chmod(directory, 0o755)
        times = []
        for _ in range(5):
            container = Container(root, stage)
            container.check_user()
            if not container.is_healthy():
                fail("a server that runs is not healthy")
            times.append(container.stop())
        if container.is_healthy():
            fail("a server that has ended is healthy")
        # The best of five: a busy machine may delay any of them.
        if min(times) > IDLE:
            fail(f"without clients and without a journal it took {times} to stop, more than {IDLE} s")
        container = Container(root, stage, "--journal", "/var/lib/display-server")
        os.kill(container.server, signal.SIGSTOP)
        if container.is_healthy():
            fail("a server that does not answer is healthy")
        os.kill(container.server, signal.SIGCONT)
        if not container.is_healthy():
            fail("a server that answers again is not healthy")
        journal = container.stop()
        if journal > BUSY:
            fail(f"with a journal it took {journal} s to stop, more than {BUSY} s")
        if not any((root / "var/lib/display-server").glob("snapshot-*")):
            fail("there is no snapshot of the journal")
        print(f"it stops within {min(times) * 1000:.0f} ms (the best of five), with a journal in {journal * 1000:.0f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
