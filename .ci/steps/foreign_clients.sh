#!/usr/bin/env bash
# Draws with clients in other languages.
source "$(dirname "$0")/../lib.sh"

start_server --size 640x480 --snapshot "$scratch/snapshot.png"
echo "examples/python/circle.py, with msgpack-python"
drew=$("$python" examples/python/circle.py "$address")
echo "  $drew"
[[ $drew == "drew 7860 pixels"*0xff0000ff ]] || fail "circle.py printed something else than expected"
echo "Neovim"
DRAW_DISPLAY=$address timeout 60 \
    nvim --headless -u NONE -i NONE -n -c 'luafile .ci/foreign/check.lua' -c 'cquit 1'
echo "msgpack-python"
timeout 120 "$python" .ci/foreign/check.py "$address" "$scratch/expected.rgba"
# One client that sends nothing and one in the middle of a message: neither may delay the end.
exec 6<>"/dev/tcp/${address/://}" 7<>"/dev/tcp/${address/://}"
printf '\x94\x00\x01' >&7
stop_server
exec 6>&- 7>&-
"$python" .ci/png_check.py bytes "$scratch/expected.rgba" 640x480 "$scratch/snapshot.png"
