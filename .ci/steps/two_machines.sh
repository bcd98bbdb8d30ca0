#!/usr/bin/env bash
# README's two machines, both simulated by this one: a program reaches the display through `ssh -R`, and by an address.
source "$(dirname "$0")/../lib.sh"

target=$(metadata target)
hello=$target/release/examples/hello
free_port() { "$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# README's command builds the same program.
readme_command 'cargo run --release -p display-server' >/dev/null
start_server

# A temporary ssh server, with temporary keys, that listens on the loopback address only.
ssh_port=$(free_port)
for key in host user; do
    ssh-keygen -q -t ed25519 -N '' -f "$scratch/$key"
done
cat >"$scratch/sshd_config" <<CONFIG
ListenAddress 127.0.0.1
Port $ssh_port
HostKey $scratch/host
AuthorizedKeysFile $scratch/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
CONFIG
cat >"$scratch/ssh_config" <<CONFIG
Host machine
    HostName 127.0.0.1
    Port $ssh_port
    User $(id -un)
    IdentityFile $scratch/user
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    ExitOnForwardFailure yes
    ConnectTimeout 10
CONFIG
mkdir -p /run/sshd
/usr/sbin/sshd -D -e -f "$scratch/sshd_config" 2>"$scratch/sshd.log" &
sshd=$!
end_sshd() {
    kill "$sshd" 2>/dev/null || true
    wait "$sshd" 2>/dev/null || true
    clean_up
}
trap end_sshd EXIT
"$python" - "$ssh_port" <<'PYTHON' || { cat "$scratch/sshd.log"; fail "the ssh server does not listen"; }
import socket, sys, time
end = time.monotonic() + 10
while True:
    try:
        sys.exit(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close())
    except OSError:
        if time.monotonic() > end:
            sys.exit("nothing listens")
        time.sleep(0.05)
PYTHON

tunnel=$(readme_command 'ssh -R 3729:localhost:3729 machine')
# Both ends are on one machine, so the ports have to differ.
far_port=$(free_port)
tunnel=${tunnel/3729:localhost:3729/$far_port:localhost:${address##*:}}
echo "$tunnel hello"
timeout 60 ${tunnel/ssh/ssh -F $scratch/ssh_config} "DRAW_DISPLAY=localhost:$far_port $hello" >"$scratch/said" ||
    { cat "$scratch/sshd.log"; fail "hello could not draw through the tunnel"; }
cat "$scratch/said"
grep -q '#ff0000ff' "$scratch/said" || fail "hello did not read what it drew"
stop_server

# Another address of this machine, in place of the address of all networks.
listen=$(readme_command 'cargo run --release -p display-server -- --listen 0.0.0.0:3729')
read -ra options <<<"${listen#*-- }"
options=("${options[@]/0.0.0.0:3729/127.0.0.2:0}")
echo "display-server ${options[*]}"
"$target/release/display-server" "${options[@]}" >"$scratch/first" &
server=$!
"$python" - "$scratch/first" <<'PYTHON' || fail "the server did not print its first line"
import sys, time
end = time.monotonic() + 10
while "\n" not in open(sys.argv[1]).read():
    if time.monotonic() > end:
        sys.exit(1)
    time.sleep(0.02)
PYTHON
other=$(sed -n 's/^listening on //p' "$scratch/first")
[[ $other == 127.0.0.2:* ]] || fail "the server listens on '$other'"
DRAW_DISPLAY=$other timeout 60 "$hello"
stop_server
