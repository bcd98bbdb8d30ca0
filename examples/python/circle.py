"""Draws a filled circle from Python: `python3 circle.py [HOST:PORT]`. Needs the msgpack package and no other."""
import itertools, socket, struct, sys, types
import msgpack

host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:3729").rpartition(":")
display = socket.create_connection((host.strip("[]"), int(port)))
replies = msgpack.Unpacker(types.SimpleNamespace(read=display.recv), read_size=65536)
numbers = itertools.count(1)

def call(method, *params):
    """One request, [0, number, method, params]; one response, [1, number, error, result]."""
    if display.fileno() < 0:
        raise ConnectionError("a message was interrupted part-way, so its connection was closed: connect anew")
    number = next(numbers) % 2**32
    request = msgpack.packb([0, number, method, params])
    try:
        display.sendall(request)
    except BaseException:
        display.close()  # half a message may be on its way
        raise
    for _, answered, error, result in replies:
        if answered == number:  # not the answer of a call that Ctrl-C interrupted
            return result if error is None else sys.exit(f"{method}: {error[1]}")
    sys.exit("the display closed the connection")

red = 0xFF0000FF  # red, green, blue, alpha
disc = [(x, y) for y in range(190, 290) for x in range(270, 370)  # a pixel is in if its centre is
        if (2 * x - 639) ** 2 + (2 * y - 479) ** 2 <= 100 ** 2]
call("draw_pixels", b"".join(struct.pack(">HHI", x, y, red) for x, y in disc))  # network byte order
print(f"drew {len(disc)} pixels; the one in the middle is {call('get_pixel', 320, 240):#010x}")
