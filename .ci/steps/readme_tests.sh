#!/usr/bin/env bash
# Runs README's test command.
source "$(dirname "$0")/../lib.sh"

command=$(readme_command 'cargo test --workspace')
bash -c "$command"
