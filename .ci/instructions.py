"""Counts the instructions of the hot paths and compares them with benches/instructions.toml.

    python3 .ci/instructions.py             fails if a count is above its bound, or so far below that the file is stale
    python3 .ci/instructions.py --update    rewrites the file from the current counts
    python3 .ci/instructions.py WORD        only those whose name contains WORD

Needs x86_64 Linux, cargo, valgrind, and the standard library of Python 3.11. Unlike times, instruction counts do not
depend on the load of the machine, so a bound can be close.

benches/instructions/ is the program that is counted. Each of its works runs for a few rounds and for more; the
difference of both counts, divided by the number of additional units, is the count of one unit.
"""
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor

FILE = "benches/instructions.toml"
# The margin of a bound above the measured count, and the margin below it at which the file is outdated.
ABOVE, BELOW = 0.10, 0.30
# The margin above its bound that a count may have with another toolchain.
ELSEWHERE = 0.30
# The program prepares for ten rounds.
FEW, MANY = 2, 10
# In benches/instructions/far.rs: the server's part of a work that has both ends.
FAR_END = "instructions::far::far_end"
COLLECT = {
    "all": [],
    "near": [f"--toggle-collect={FAR_END}", "--collect-atstart=yes"],
    "far": [f"--toggle-collect={FAR_END}"],
}
# The C library chooses how to copy by what the processor has; so that it is one choice everywhere, the oldest.
# (Where the processor copies by itself, valgrind counts an instruction a byte.)
COPYING = "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load"

HEADER = """\
# Instructions of the hot paths, written by `python3 .ci/instructions.py --update`; CI compares.
#
# A count above its bound fails, and so does one {below:.0%} below what was measured: then it is time to update. The bounds
# are {above:.0%} above what was measured.
#
# The counts hold for the toolchain below, on every x86_64 processor. With another compiler or C library a count may
# be {elsewhere:.0%} above its bound, and none is too small. On another architecture nothing is compared.
"""


def fail(sentence):
    sys.exit(f"instructions.py: {sentence}")


def output(command):
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        fail(f"{command[0]} is not installed")
    except subprocess.CalledProcessError as error:
        fail(f"'{' '.join(command)}' ended with status {error.returncode}")


def toolchain():
    rustc = dict(line.split(": ", 1) for line in output(["rustc", "-vV"]).splitlines() if ": " in line)
    return {
        "rustc": f"{rustc['release']} ({rustc['commit-hash'][:9]}), LLVM {rustc['LLVM version']}",
        "host": rustc["host"],
        "libc": " ".join(platform.libc_ver()),
    }


def build():
    """Builds the program, optimised as a release is, and returns its path."""
    command = "cargo bench --locked -p benches --bench instructions --no-run --message-format json-render-diagnostics"
    for line in output(command.split()).splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "instructions":
            return message["executable"]
    fail(f"'{command}' named no program")


def collect(program, name, part, rounds):
    """Returns the instructions of this number of rounds, and the number of units done in them."""
    valgrind = shutil.which("valgrind") or fail("valgrind is not installed")
    callgrind = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", *COLLECT[part]]
    command = [*callgrind, program, name, str(rounds)]
    # Passes nothing else of the environment: its size alone moves the stack.
    done = subprocess.run(command, env={"GLIBC_TUNABLES": COPYING}, capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or counted is None:
        fail(f"'{' '.join(command)}' ended with status {done.returncode}:\n{done.stderr}")
    return int(counted[1]), int(done.stdout)


def measure(program, name, part):
    """Returns the instructions of one unit."""
    (few, units_of_few), (many, units_of_many) = (collect(program, name, part, rounds) for rounds in (FEW, MANY))
    if few == 0 or many == few:
        fail(f"no instruction was counted for {name}: is there still a function {FAR_END}?")
    return digits((many - few) / (units_of_many - units_of_few))


def digits(count):
    """Rounds to four significant digits, which is more than the precision of any count."""
    return float(f"{count:.4g}")


def update(counted, built_with):
    lines = [HEADER.format(above=ABOVE, below=BELOW, elsewhere=ELSEWHERE), "[toolchain]"]
    lines += [f'{key} = "{value}"' for key, value in built_with.items()]
    for name, (unit, count) in counted.items():
        bound = digits(count * (1 + ABOVE))
        lines += ["", f"[counts.{name}]", f'unit = "{unit}"', f"bound = {bound:g}", f"measured = {count:g}"]
    with open(FILE, "w") as file:
        file.write("\n".join(lines) + "\n")
    print(f"  {FILE} has {len(counted)} counts now")


def compare(counted, known, is_same):
    """Yields a sentence for each error."""
    for name, (unit, count) in counted.items():
        if name not in known:
            yield f"{name} has no bound in {FILE}: run with --update"
            continue
        bound, measured = known[name]["bound"], known[name]["measured"]
        most = bound if is_same else bound * (1 + ELSEWHERE)
        if count > most:
            yield (
                f"{name} takes {count:g} instructions per {unit}; at most {most:g} are allowed, "
                f"{measured:g} were measured"
            )
        elif is_same and count < measured * (1 - BELOW):
            yield (
                f"{name} takes {count:g} instructions per {unit}, much less than the {measured:g} in {FILE}: "
                "run with --update, so that the bound follows"
            )


def main(arguments):
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    is_update = "--update" in arguments
    words = [word for word in arguments if word != "--update"]
    if len(words) > 1 or any(word.startswith("-") for word in words) or (is_update and words):
        fail("usage: instructions.py [--update | WORD]")
    if platform.machine() != "x86_64":
        print(f"  NOT CHECKED: the counts are of x86_64, and this is {platform.machine()}")
        return
    built_with, program = toolchain(), build()
    works = [line.split("\t") for line in output([program, "--list"]).splitlines()]
    works = [work for work in works if all(word in work[0] for word in words)]
    if not works:
        fail(f"no name contains '{words[0]}'")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = pool.map(lambda work: measure(program, work[0], work[2]), works)
        counted = {name: (unit, count) for (name, unit, _), count in zip(works, counts)}
    try:
        with open(FILE, "rb") as file:
            known = tomllib.load(file)
    except FileNotFoundError:
        known = {"toolchain": built_with, "counts": {}}
    print(f"  {'instructions':<41} {'counted':>8} {'measured':>8} {'bound':>8}")
    for name, (unit, count) in counted.items():
        before = known["counts"].get(name, {})
        measured, bound = (f"{before[key]:g}" if before else "-" for key in ("measured", "bound"))
        print(f"  {f'{name}, per {unit}':<41} {count:>8g} {measured:>8} {bound:>8}")
    if is_update:
        return update(counted, built_with)
    is_same = known["toolchain"] == built_with
    if not is_same:
        print(f"  measured with {', '.join(known['toolchain'].values())}; this is {', '.join(built_with.values())}:")
        print(f"  so a count may be {ELSEWHERE:.0%} above its bound, and none is too small")
    wrong = list(compare(counted, known["counts"], is_same))
    if not words:
        gone = [name for name in known["counts"] if name not in counted]
        wrong += [f"{name} is in {FILE} and is counted no more: run with --update" for name in gone]
    if wrong:
        fail("\n  ".join(wrong))


main(sys.argv[1:])
