"""Performs the task of the example `conformance` at level plain, with README's client: `DRAW_DISPLAY=HOST:PORT python3 conformance.py`.
Needs the msgpack package and no other."""
import itertools, os, socket, struct, types
import msgpack

host, _, port = os.environ["DRAW_DISPLAY"].rpartition(":")
display = socket.create_connection((host.strip("[]"), int(port)))
replies = msgpack.Unpacker(types.SimpleNamespace(read=display.recv), read_size=65536)
numbers = itertools.count(1)


def call(method, *params):
    number = next(numbers) % 2**32
    display.sendall(msgpack.packb([0, number, method, params]))
    for _, answered, error, result in replies:
        if answered == number:
            if error:
                print("error", error[1].split(":")[0])
            return result
    raise ConnectionError("the display closed the connection")


def color(x):
    return x * 0x03020100 + 0xFF


width, height, *_ = call("get_size")
print(f"size {width}x{height}")
call("clear", 0)
for x in range(64):
    call("draw_pixel", x, 0, color(x))
call("draw_pixels", b"".join(struct.pack(">HHI", x, 1, color(x)) for x in range(65)))
for k in range(200):
    call("add_pixel", k % 8, 2, 1 << k // 8)
print(f"pixel {call('get_pixel', 3, 2):08x}")
print(f"image {call('get_image', 0, 2, 8, 1).hex()}")
call("sync")
print("done")
