#!/usr/bin/env bash
# Runs README's command that installs the program, into a directory of its own.
source "$(dirname "$0")/../lib.sh"

command=$(readme_command 'cargo install --locked --path display-server')
$command --root "$scratch/root"
"$scratch/root/bin/display-server" --version
