#!/usr/bin/env bash
# Runs .ci/window/$1.py on a screen in memory, with the rest of the arguments: `bash .ci/steps/window.sh check software`.
source "$(dirname "$0")/../lib.sh"

built=$(metadata target)/release
program=.ci/window/$1.py
shift
case $program in
    */figures.py) set -- "$built/display-server" "$built/examples/film" "$@" ;;
    */screens.py) set -- "$built/display-server" "$built/examples" "$@" ;;
    */examples.py) set -- "$built/examples" docs/window.png "$@" ;;
    *) set -- "$built/display-server" "$@" ;;
esac
# Each program ends by itself unless the server hangs.
timeout 600 "$python" "$program" "$@"
