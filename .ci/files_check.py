"""Tests display-server's output to targets that only root can create: devices, a full disk, another user's directory.

    python3 files_check.py DISPLAY-SERVER

Everything is created in a temporary directory, including device nodes; nothing below /dev is written to. Standard
library only. Exits with a sentence and status 1 at the first difference.
"""
import os
import signal
import stat
import subprocess
import sys
import tempfile

PNG = b"\x89PNG\r\n\x1a\n"
NOBODY = 65534
SECONDS = 30


def fail(sentence):
    sys.exit(f"files_check.py: {sentence}")


def run(server, *arguments, user=None):
    """Runs the server to its end. Returns its status, standard output and messages."""
    who = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    done = subprocess.run([server, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, **who)
    return done.returncode, done.stdout, done.stderr.decode()


def serve(server, *arguments):
    """Runs the server, and sends SIGTERM once it listens. Returns its status and messages."""
    process = subprocess.Popen([server, "--headless", "--listen", "127.0.0.1:0", "--size", "64x48", *arguments],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if process.stdout.readline().startswith(b"listening on "):
            process.send_signal(signal.SIGTERM)
        says = process.communicate(timeout=SECONDS)[1].decode()
    finally:
        process.kill()
        process.wait()
    return process.returncode, says


def devices(server, scratch, journal):
    """Tests that a character device is written through, that a block device is refused, and that both remain."""
    null = os.path.join(scratch, "null")
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    # No device has this number: opening it would fail.
    block = os.path.join(scratch, "block")
    os.mknod(block, 0o600 | stat.S_IFBLK, os.makedev(240, 250))
    link = os.path.join(scratch, "link")
    os.symlink("null", link)
    for name in null, link:
        status, says = serve(server, "--snapshot", name)
        if status != 0:
            fail(f"a snapshot to a character device ended with status {status}: {says}")
        status, _, says = run(server, "journal", "export", journal, "-o", name)
        if status != 0:
            fail(f"an export to a character device ended with status {status}: {says}")
    for arguments in (["--headless", "--listen", "127.0.0.1:0", "--snapshot", block], ["journal", "export", journal, "-o", block]):
        status, _, says = run(server, *arguments)
        if status != 1 or "it is a block device" not in says:
            fail(f"a block device is not refused: status {status}, {says}")
    if not (stat.S_ISCHR(os.lstat(null).st_mode) and stat.S_ISBLK(os.lstat(block).st_mode) and os.path.islink(link)):
        fail("a device or a link was replaced")
    status, out, says = run(server, "journal", "export", journal, "-o", "-")
    if status != 0 or not out.startswith(PNG):
        fail(f"an export to standard output ended with status {status}: {says}")
    print("  devices, a link to one and standard output are written through, a block device is refused")


def owner(server, scratch):
    """Tests that a picture keeps its owner and mode."""
    picture = os.path.join(scratch, "picture.png")
    with open(picture, "wb"):
        os.chown(picture, NOBODY, NOBODY)
    os.chmod(picture, 0o640)
    status, says = serve(server, "--snapshot", picture)
    found = os.stat(picture)
    if status != 0 or found.st_size == 0:
        fail(f"no snapshot was written: {says}")
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (NOBODY, NOBODY, 0o640):
        fail(f"the snapshot has another owner or mode: {found}")
    print("  a picture keeps its owner and its mode")


def full_disk(server, scratch):
    """Tests that a full disk is reported, both at the start and at the end."""
    disk = os.path.join(scratch, "disk")
    os.mkdir(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        fail(f"cannot mount a small file system: {mounted.stderr.decode()}")
    try:
        picture = os.path.join(disk, "picture.png")
        filler = os.path.join(disk, "filler")
        with open(filler, "wb") as file:
            try:
                while file.write(bytes(4096)):
                    file.flush()
            except OSError:
                pass
            try:
                file.close()
            except OSError:
                pass
        status, _, says = run(server, "--headless", "--listen", "127.0.0.1:0", "--snapshot", picture)
        if status != 1 or "the disk is full" not in says or os.path.exists(picture):
            fail(f"a full disk is not told at the start: status {status}, {says}")
        status, _, says = run(server, "--headless", "--listen", "127.0.0.1:0", "--journal", os.path.join(disk, "journal"))
        if status != 1 or "disk is full" not in says:
            fail(f"a full disk is not told for a new journal: status {status}, {says}")
        os.truncate(filler, 52 << 10)
        # Noise: the compressed picture is larger than the free space.
        process = subprocess.Popen([server, "--headless", "--listen", "127.0.0.1:0", "--size", "256x256",
                                    "--snapshot", picture], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            address = process.stdout.readline().split()[-1].decode()
            noise(address, 256)
            process.send_signal(signal.SIGTERM)
            says = process.communicate(timeout=SECONDS)[1].decode()
        finally:
            process.kill()
            process.wait()
        if process.returncode != 1 or "the disk is full" not in says:
            fail(f"a full disk is not told at the end: status {process.returncode}, {says}")
        # The directory is created before the new journal runs out of space.
        if sorted(os.listdir(disk)) != ["filler", "journal"]:
            fail(f"something is left on the full disk: {os.listdir(disk)}")
    finally:
        subprocess.run(["umount", disk], check=True)
    print("  a disk without room is said to be full, at the start and at the end")


def noise(address, side):
    """Draws an image of noise and waits for the answer."""
    import socket
    host, port = address.rsplit(":", 1)
    pixels = os.urandom(side * side * 4)
    number = lambda n: b"\xcd" + n.to_bytes(2, "big")
    message = (b"\x94\x00\x01\xa9put_image\x95\x00\x00" + number(side) + number(side)
               + b"\xc6" + len(pixels).to_bytes(4, "big") + pixels)
    with socket.create_connection((host, int(port)), timeout=SECONDS) as client:
        client.sendall(message)
        answer = client.recv(64)
    if answer != b"\x94\x01\x01\xc0\xc0":
        fail(f"the image was not drawn: {answer}")


def somebody_else(server, scratch):
    """Tests that a user without permission to write a journal or a picture gets an error."""
    os.chmod(scratch, 0o755)
    directory = os.path.join(scratch, "of-root")
    os.mkdir(directory, 0o755)
    for arguments, parts in (
        (["--journal", directory], [f"the journal in {directory}: cannot write to it (Permission denied", "name another directory"]),
        (["--journal", os.path.join(directory, "new")], ["cannot create it (Permission denied", "name another directory"]),
        (["--snapshot", os.path.join(directory, "picture.png")], ["Permission denied", "this user may write to"]),
    ):
        status, _, says = run(server, "--headless", "--listen", "127.0.0.1:0", *arguments, user=NOBODY)
        if status != 1 or not all(part in says for part in parts):
            fail(f"{arguments}: status {status}, {says}")
    os.chmod(directory, 0o700)
    status, _, says = run(server, "journal", "check", directory, user=NOBODY)
    if status != 1 or "cannot read it (Permission denied" not in says:
        fail(f"journal check: status {status}, {says}")
    print("  who may not write or read there is told so")


def main(server):
    if os.geteuid() != 0:
        fail("this needs root, to make device nodes and to be somebody else")
    with tempfile.TemporaryDirectory() as scratch:
        # A place where another user can run it.
        copy = os.path.join(scratch, "display-server")
        subprocess.run(["cp", server, copy], check=True)
        journal = os.path.join(scratch, "journal")
        if serve(copy, "--journal", journal)[0] != 0:
            fail("no journal could be made")
        devices(copy, scratch, journal)
        owner(copy, scratch)
        full_disk(copy, scratch)
        somebody_else(copy, scratch)


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
