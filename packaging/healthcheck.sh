#!/bin/bash
# Ends with status 0 if the display at HOST:PORT answers a call: `healthcheck.sh [HOST:PORT]`.
#
# The call is `sync`, and what it waits for are the calls of its own connection, of which there are none.
set -u
export LC_ALL=C
address=${1:-127.0.0.1:3729}
exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || exit 1
printf '\x94\x00\x01\xa4sync\x90' >&3 || exit 1
# Five bytes, none of them zero: [1, 1, nil, nil].
IFS= read -r -N 5 -t 3 answer <&3
if [[ $answer != $'\x94\x01\x01\xc0\xc0' ]]; then
    echo "the display at $address does not answer" >&2
    exit 1
fi
