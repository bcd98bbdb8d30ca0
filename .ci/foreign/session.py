"""Runs the pseudo-code of protocol/spec/sessions.md, with and without CRC-32 checks, over a path that is cut
repeatedly:

    python3 session.py HOST:PORT

The client adds to pixels, so that a request executed twice or not at all changes the sum. It asks questions whose
answers must arrive in order, and it makes calls that fail. The relay between client and display cuts each connection
after a number of bytes determined by a seed. Needs the msgpack package. Exits with a non-zero status at the first
difference.
"""
import os
import random
import socket
import sys
import threading
import time
import zlib

import msgpack

DEADLINE = 60
CREDIT = 200


def check(holds, sentence):
    if not holds:
        sys.exit(f"session.py: {sentence}")


class Relay:
    """Forwards connections to the display, one after the other, and cuts the first ones after some bytes."""

    def __init__(self, display, cuts):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address, self.display, self.cuts = self.listener.getsockname()[:2], display, iter(cuts)
        self.connections = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            self.connections += 1
            display = socket.create_connection(self.display)
            up, down = next(self.cuts, (None, None))
            for source, target, most in (client, display, up), (display, client, down):
                threading.Thread(target=self.forward, args=(source, target, most, client, display), daemon=True).start()

    def forward(self, source, target, most, *both):
        try:
            while True:
                data = source.recv(65536 if most is None else max(1, min(most, 65536)))
                if not data:
                    break
                target.sendall(data)
                if most is not None:
                    most -= len(data)
                    if most <= 0:
                        break
        except OSError:
            pass
        for end in both:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Lost(Exception):
    pass


class Session:
    """The pseudo-code, with its names."""

    def __init__(self, address, checked):
        self.address, self.checked = address, checked
        self.session, self.attempt, self.born = os.urandom(16), 0, 0
        self.incarnation = self.instance = None
        self.acked = self.covered = self.drew = 0
        self.next, self.kept, self.heard, self.loss = 1, {}, 0, False
        self.outcome, self.results, self.states, self.asked_again = {}, {}, [], {}
        self.reconnect()

    # Input and output of bytes.

    def write(self, message):
        data = msgpack.packb(message)
        self.write_bytes(data)
        return data

    def write_bytes(self, data):
        if self.checked:
            data = b"\x93\x02\xa5crc32\x91\xcf" + zlib.crc32(data).to_bytes(8, "big") + data
        try:
            self.socket.sendall(data)
        except OSError:
            raise Lost from None

    def read_one(self):
        """Returns the next message and its size."""
        while True:
            begin = self.unpacker.tell()
            try:
                message = self.unpacker.unpack()
                return message, self.unpacker.tell() - begin
            except msgpack.OutOfData:
                try:
                    data = self.socket.recv(65536)
                except OSError:
                    raise Lost from None
                if not data:
                    raise Lost from None
                self.unpacker.feed(data)
                self.bytes += data

    def read(self):
        expected = None
        if self.checked:
            message, _ = self.read_one()
            check(message[:2] == [2, "crc32"], f"{message} came in place of a check")
            expected = message[2][0]
        begin = self.unpacker.tell()
        message, size = self.read_one()
        if self.checked:
            check(zlib.crc32(self.bytes[begin:begin + size]) == expected, f"{message} does not match its check")
        return message, size

    # The pseudo-code.

    def send(self, method, *params):
        while len(self.kept) >= CREDIT:
            self.receive()
        number = self.next
        self.kept[number] = method, msgpack.packb([0, number % 2**32, method, params])
        self.next += 1
        try:
            self.write_bytes(self.kept[number][1])
        except Lost:
            self.reconnect()
        return number

    def receive(self):
        try:
            message, size = self.read()
            if message[0] == 1:
                _, msgid, error, result = message
                number = self.covered + (msgid - self.covered) % 2**32
                check(number in self.kept, f"{message} answers what was not asked")
                self.outcome[number] = error, result
                self.heard += size
                self.cover(number)
            elif message[1] == "progress":
                check(self.covered <= message[2][0] < self.next, f"{message} covers what was not asked")
                self.cover(message[2][0])
            elif message[1] == "goodbye":
                check(message[2][0]["code"] in ("superseded", "unconfirmed", "corrupted"), f"the display says {message}")
                raise Lost
        except Lost:
            self.reconnect()

    def cover(self, last):
        again = []
        for number in range(self.covered + 1, last + 1):
            method, data = self.kept.pop(number)
            is_question = method.startswith(("get_", "sync"))
            is_missing = number not in self.outcome
            error, result = self.outcome.pop(number, (None, None))
            if not is_question and (error is None or error["code"] == "out_of_bounds"):
                self.drew = number
            if is_question and (is_missing or error and error["code"] == "answer_lost"):
                again.append((number, msgpack.unpackb(data)))
                continue
            self.results[self.asked_again.pop(number, number)] = error, result
        self.covered = last
        if self.covered - self.acked >= 1000 or self.heard >= 65536:
            self.write([2, "ack", [self.covered]])
            self.acked, self.heard = self.covered, 0
        for number, (_, _, method, params) in again:
            self.asked_again[self.send(method, *params)] = number

    def hello(self):
        keys = {"version": 1, "client": "session.py", "session": self.session, "confirms": True, "attempt": self.attempt,
                "born": self.born, "ack": self.covered, "next": self.next}
        if self.instance is not None:
            keys["instance"] = self.instance
        if self.incarnation is not None:
            keys["incarnation"] = self.incarnation
        if self.drew < self.covered:
            keys["drew"] = self.drew
        if self.checked:
            keys["checks"] = True
        return keys

    def reconnect(self):
        pause, end = 0, time.monotonic() + DEADLINE
        while True:
            check(time.monotonic() < end, "there is no way to the display")
            time.sleep(pause)
            pause = min(5, pause * 2 or 0.001)
            self.attempt += 1
            try:
                self.socket = socket.create_connection(self.address, DEADLINE)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.unpacker, self.bytes = msgpack.Unpacker(), b""
                self.write([0, 0, "hello", [self.hello()]])
                message, _ = self.read()
                # A goodbye may come in place of the response.
                error = message[2][0] if message[0] == 2 else message[2]
                if error:
                    check(error["code"] in ("superseded", "unconfirmed", "corrupted"), f"hello was refused: {error}")
                    continue
                reply = message[3]
                self.states.append(reply["session"])
                self.instance, self.acked, self.heard = reply["instance"], self.covered, 0
                fresh = reply["session"] != "resumed"
                if fresh:
                    # Nothing can be lost before the first request.
                    check(reply["session"] == "fresh" and not self.covered, f"the session is {reply['session']}")
                    self.born, self.incarnation = self.attempt, reply["nonce"]
                self.write([2, "confirm", [reply["nonce"]]])
                for number in sorted(self.kept):
                    if number > reply["applied"]:
                        self.write_bytes(self.kept[number][1])
                return
            except (Lost, OSError):
                continue

    def call(self, method, *params):
        number = self.send(method, *params)
        while number not in self.results:
            self.receive()
        return self.results.pop(number)

    def close(self):
        check(self.call("sync") == (None, None), "sync failed")
        self.write([2, "end", []])
        self.socket.close()


def run(address, seed, checked, rounds):
    chance = random.Random(seed)
    # In one direction, in the other, or in the first to reach its limit.
    cuts = [chance.choice([(up, None), (None, down), (up, down)])
            for up, down in ((chance.randrange(20, 4000), chance.randrange(20, 2500)) for _ in range(40))]
    relay = Relay(address, cuts)
    client = Session(relay.address, checked)
    x = seed
    client.call("draw_pixel", x, 7, 0)
    asked, failed = {}, []
    for i in range(1, rounds + 1):
        client.send("add_pixel", x, 7, 1)
        if i % 5 == 0:
            asked[client.send("get_pixel", x, 7)] = i
        if i % 11 == 0:
            failed.append(client.send("add_pixel", -1, 7, 1))
    error, total = client.call("get_pixel", x, 7)
    check(error is None and total == rounds, f"seed {seed}: {rounds} were added, and the sum is {total}")
    for number, i in asked.items():
        error, count = client.results[number]
        # A question that was asked again sees a later picture.
        check(error is None and i <= count <= rounds, f"seed {seed}: after {i} the display said {error or count}")
    for number in failed:
        check(client.results[number][0]["code"] in ("out_of_bounds", "answer_lost"), f"seed {seed}: {client.results[number]}")
    client.close()
    return relay.connections, client.states.count("resumed")


def main():
    host, _, port = sys.argv[1].rpartition(":")
    connections = resumed = 0
    for seed in range(12):
        made, states = run((host, int(port)), seed, seed % 2 == 0, 1500)
        connections, resumed = connections + made, resumed + states
    check(resumed > 50, f"of {connections} connections only {resumed} continued a session")
    print(f"  12 sessions, half of them with CRC-32, over {connections} connections: each call was executed exactly once")


if __name__ == "__main__":
    main()
