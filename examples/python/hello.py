import itertools, msgpack, socket, types
display, numbers = socket.create_connection(("localhost", 3729)), itertools.count(1)
replies = msgpack.Unpacker(types.SimpleNamespace(read=display.recv), read_size=65536)
def call(method, *params):
    number = next(numbers) % 2**32
    display.sendall(msgpack.packb([0, number, method, params]))
    for _, answered, error, result in replies:
        if answered == number and error: raise RuntimeError(error[1])
        if answered == number: return result
    raise ConnectionError("the display closed the connection")
call("fill_rect", 10, 10, 200, 100, 0xff8000ff)  # x, y, width, height, red green blue alpha
