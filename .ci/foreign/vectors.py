"""Compares protocol/spec/vectors.json with the results of msgpack-python and zlib for its bytes. Needs the msgpack
package."""
import json
import os
import sys
import zlib

import msgpack

PATH = os.path.join(os.path.dirname(__file__), "..", "..", "protocol", "spec", "vectors.json")


def check(holds, sentence):
    if not holds:
        sys.exit(f"vectors.py: {sentence}")


def plain(value):
    """Returns a decoded value in the JSON form that README.md of the specification defines."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"$str": value.encode(errors="surrogateescape").hex()}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return {"$int": str(value)}
    if isinstance(value, float):
        return {"$float": f"{value:.0f}"}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def main():
    with open(PATH) as file:
        file = json.load(file)
    decoded = 0
    for vector in file["vectors"]:
        name, data = vector["name"], bytes.fromhex(vector["bytes"])
        check(vector["use"] in ("exact", "accept", "refuse"), f"{name}: {vector['use']}")
        if vector["use"] == "refuse":
            continue
        if "check" in vector:
            head, data = data[:18], data[18:]
            check(head[10:].hex() == vector["check"]["digest"], f"{name}: the digest is not that of its bytes")
            if vector["check"]["kind"] == "crc32":
                check(zlib.crc32(data) == int(vector["check"]["digest"], 16), f"{name}: zlib has another CRC-32")
        message = plain(msgpack.unpackb(data, unicode_errors="surrogateescape"))
        check(message == vector["message"], f"{name}: msgpack decodes {message}, not {vector['message']}")
        decoded += 1
    for digest in file["digests"]:
        data = bytes.fromhex(digest["bytes"])
        check(len(data) == digest["length"], f"{digest['length']} bytes are {len(data)}")
        check(zlib.crc32(data) == int(digest["crc32"], 16), f"zlib has another CRC-32 of {len(data)} bytes")
    print(f"  msgpack-python decodes all {decoded} messages of vectors.json, and zlib has its digests")


if __name__ == "__main__":
    main()
