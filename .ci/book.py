"""Runs the commands of the book, docs/, each in a directory and a network of its own:

    python3 book.py TARGET

TARGET is cargo's target directory, with release builds of the examples and of the server. Needs root, for the networks.

The commands of a page that starts a server run one after the other, in one network; those of other pages run at the same time.
A server runs until the next one is started or the page ends. Not run here: `cargo test` and `cargo bench`, which have steps of
their own, and `ssh`, which the step of the two machines runs. Any other command that is not known fails the step.
"""
import fcntl
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from documents import blocks

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120
# Words of the book that are the reader's to replace, and the interpreter that has the packages.
REPLACED = {"DIR": "picture.journal", "192.168.1.20": "127.0.0.1", "-10s": "-0s", "python3": sys.executable}
OTHER_STEPS = r"cargo (test|bench) |ssh "


def commands(page):
    """Returns the commands of a page, without comments."""
    shown = [content for language, content in blocks(page.read_text(encoding="utf-8")) if language == "sh"]
    lines = [re.sub(r"(^|\s+)#.*", "", line) for content in shown for line in content.splitlines()]
    return [line for line in lines if line]


def is_server(command):
    return command.startswith("cargo run --release -p display-server")


class Runner:
    """Runs commands one after the other. The last server that was started keeps running."""

    def __init__(self, target):
        self.target, self.server = target, None
        self.environment = {name: value for name, value in os.environ.items() if not re.match(r"DRAW_|(WAYLAND_)?DISPLAY", name)}

    def words(self, command):
        """Returns the variables and the words of a command, with programs in place of cargo."""
        words = [REPLACED.get(word, word) for word in shlex.split(command)]
        variables = {}
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables[name] = REPLACED.get(value, value)
        if words[:4] == ["cargo", "run", "--release", "--example"]:
            words = [f"{self.target}/release/examples/{words[4]}", *words[6:]]
        elif words[:5] == ["cargo", "run", "--release", "-p", "display-server"]:
            words = [f"{self.target}/release/display-server", *words[6:]]
        elif words[0] == "display-server":
            words[0] = f"{self.target}/release/display-server"
        elif words[0] == "printf":
            words = ["bash", "-c", command]
        else:
            raise SystemExit(f"there is no known way to run: {command}")
        return variables, words

    def start(self, words, environment):
        """Starts a program that goes on, and waits until it listens."""
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = process.stdout.readline()
        while said and "listening" not in said:
            said = process.stdout.readline()
        if not said:
            raise SystemExit(f"{words} does not listen, and ends with status {process.wait()}")
        return process

    def end(self, process, how):
        process.send_signal(how)
        said, _ = process.communicate(timeout=SECONDS)
        if process.returncode:
            raise SystemExit(f"{process.args} ends with status {process.returncode}: {said}")

    def finish(self):
        if self.server:
            self.end(self.server, signal.SIGTERM)
            self.server = None

    def run(self, command):
        variables, words = self.words(command)
        environment = self.environment | variables
        if is_server(command):
            self.finish()
            self.server = self.start(words, environment)
        elif words[0].endswith("/draw_wire") and "--display" in words:
            self.end(self.start(words, environment), signal.SIGINT)
        else:
            if "journal" in words[1:2]:
                self.finish()
            done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS)
            if done.returncode:
                raise SystemExit(f"{command}\nends with status {done.returncode}: {done.stdout}{done.stderr}")


def inside(target, chosen):
    """Runs commands in this network, whose loopback device is enabled first."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0x41)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS
    runner = Runner(target)
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        # Some commands name files of the repository.
        os.symlink(ROOT / ".ci", ".ci")
        for command in chosen:
            runner.run(command)
        runner.finish()
        os.chdir("/")


def outside(target, chosen):
    """Runs commands in a network of their own. Returns what is wrong."""
    words = ["unshare", "--net", "--kill-child", "--fork", sys.executable, __file__, target, *chosen]
    done = subprocess.run(words, capture_output=True, text=True)
    for command in chosen:
        print(f"  {command}", flush=True)
    return done.stdout + done.stderr if done.returncode else ""


def main(target, *chosen):
    if chosen:
        return inside(target, chosen)
    target = str(Path(target).resolve())
    groups, elsewhere = [], 0
    for page in sorted((ROOT / "docs").glob("*.md")):
        own = [command for command in commands(page) if not re.match(OTHER_STEPS, command)]
        elsewhere += len(commands(page)) - len(own)
        groups += [own] if any(map(is_server, own)) else [[command] for command in own]
    with ThreadPoolExecutor(4) as pool:
        wrong = [text for text in pool.map(lambda group: outside(target, group), groups) if text]
    if wrong:
        sys.exit("book.py: " + "\n".join(wrong))
    print(f"{sum(map(len, groups))} commands ran, {elsewhere} are run by other steps")


if __name__ == "__main__":
    main(*sys.argv[1:])
