"""Checks the pixels of a PNG file that the project wrote, with an independent decoder and an independent circle.

    python3 png_check.py disc DIAMETER FILE.png        one or more filled circles of that diameter on a plain background
    python3 png_check.py bytes PICTURE WxH FILE.png    exactly these bytes R, G, B, A

Standard library only. Exits with a sentence and status 1 at the first difference.
"""
import struct
import sys
import zlib


def fail(sentence):
    sys.exit(f"png_check.py: {sentence}")


def decode(path):
    """Returns width, height and rows of a PNG with 8-bit RGBA, not interlaced (PNG specification, sections 5, 7 and
    9)."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        fail(f"{path} is no PNG file")
    at, header, packed, name = 8, None, b"", None
    while name != b"IEND":
        if at + 12 > len(data):
            fail(f"{path} ends within a chunk")
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        if data[at + 8 + length:at + 12 + length] != struct.pack(">I", zlib.crc32(name + body)):
            fail(f"{path}: the checksum of {name.decode('latin-1')} is wrong")
        if name == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif name == b"IDAT":
            packed += body
        at += 12 + length
    if header is None or header[2:] != (8, 6, 0, 0, 0):
        fail(f"{path} is not RGBA with 8 bits, not interlaced: {header}")
    width, height = header[:2]
    stride = width * 4
    raw = zlib.decompress(packed)
    if len(raw) != (stride + 1) * height:
        fail(f"{path} has {len(raw)} bytes of rows, expected {(stride + 1) * height}")
    rows, above = [], bytes(stride)
    for start in range(0, len(raw), stride + 1):
        above = unfilter(raw[start], bytearray(raw[start + 1:start + 1 + stride]), above)
        rows.append(above)
    return width, height, rows


def unfilter(kind, row, above):
    if kind > 4:
        fail(f"there is no filter {kind}")
    if kind == 2:
        return bytearray((a + b) & 255 for a, b in zip(row, above))
    for i in range(len(row) if kind else 0):
        left, up, corner = (row[i - 4], above[i], above[i - 4]) if i >= 4 else (0, above[i], 0)
        if kind == 1:
            predicted = left
        elif kind == 3:
            predicted = (left + up) // 2
        else:
            # Paeth: the one of the three that is nearest to left + up - corner, in this order.
            predicted = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
        row[i] = (row[i] + predicted) & 255
    return row


def disc(path, diameter):
    width, height, rows = decode(path)
    color = {(x, y): bytes(row[x * 4:x * 4 + 4]) for y, row in enumerate(rows) for x in range(width)}
    background = color[0, 0]
    # A pixel is inside if its centre is: distances are counted in half pixels.
    shape = {(x, y) for y in range(diameter) for x in range(diameter)
             if (2 * x + 1 - diameter) ** 2 + (2 * y + 1 - diameter) ** 2 <= diameter ** 2}
    inked = {place for place, c in color.items() if c != background}
    if not inked:
        fail(f"{path} is blank")
    count = 0
    while inked:
        # The first row of a disc is a run of pixels whose start, relative to the disc's bounding box, is known.
        top = min(y for _, y in inked)
        left = min(x for x, y in inked if y == top) - min(x for x, y in shape if y == 0)
        placed = {(x + left, y + top) for x, y in shape}
        colors = {color.get(place) for place in placed}
        if not placed <= inked or len(colors) != 1:
            wrong = min((p for p in placed if p not in inked or color[p] != color.get((left + diameter // 2, top))),
                        default=None)
            fail(f"{path}: the pixel {wrong} should belong to a disc of diameter {diameter} at ({left}, {top})")
        inked -= placed
        count += 1
        centre = (left + diameter // 2, top + diameter // 2)
        print(f"  {path}: a disc of {len(shape)} pixels, {colors.pop().hex()} around {centre}, pixel by pixel")
    print(f"  {path}: {width}x{height}, {count} disc(s), every other pixel is {background.hex()}")


def same(path, picture, size):
    width, height, rows = decode(path)
    if f"{width}x{height}" != size:
        fail(f"{path} has {width}x{height} pixels, expected {size}")
    with open(picture, "rb") as file:
        expected = file.read()
    if len(expected) != width * height * 4:
        fail(f"{picture} has {len(expected)} bytes, expected {width * height * 4}")
    for y, row in enumerate(rows):
        line = expected[y * width * 4:(y + 1) * width * 4]
        for x in range(width if row != line else 0):
            if row[x * 4:x * 4 + 4] != line[x * 4:x * 4 + 4]:
                fail(f"{path}: the pixel ({x}, {y}) is {row[x * 4:x * 4 + 4].hex()}, "
                     f"expected {line[x * 4:x * 4 + 4].hex()}")
    print(f"  {path}: {size}, every pixel as drawn")


match sys.argv[1:]:
    case ["disc", diameter, path]:
        disc(path, int(diameter))
    case ["bytes", picture, size, path]:
        same(path, picture, size)
    case _:
        sys.exit(__doc__)
