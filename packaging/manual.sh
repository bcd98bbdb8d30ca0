#!/bin/bash
# Writes the man pages and completions of display-server: `packaging/manual.sh [DIR]`, by default into target/manual.
#
# They come from the definition of the command line, as --help does. Their program is built without windows and without optimisation,
# which changes no option.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-target/manual}
rm -rf "$directory"
cargo run --quiet --locked -p display-server --no-default-features --features manual -- manual "$directory"
