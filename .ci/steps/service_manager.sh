#!/usr/bin/env bash
# Checks that the first client starts the server, and that the units are correct.
source "$(dirname "$0")/../lib.sh"

program=$(metadata target)/release/display-server
port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
# In a separate runtime directory, so that it finds no service manager of the user.
systemd-socket-activate --listen="127.0.0.1:$port" "$program" --headless --journal "$scratch/journal" 2>"$scratch/log" >"$scratch/out" &
server=$!
until grep -q "Listening on" "$scratch/log"; do
    kill -0 "$server" 2>/dev/null || fail "systemd-socket-activate does not listen: $(cat "$scratch/log")"
    sleep 0.05
done
[[ ! -s $scratch/out ]] || fail "it was started without a client"
# The client waits in the socket's queue until the server has started.
timeout 20 packaging/healthcheck.sh "127.0.0.1:$port" || fail "the first client is not served: $(cat "$scratch/log")"
grep -qx "listening on 127.0.0.1:$port" "$scratch/out" || fail "the first line is '$(cat "$scratch/out")'"
packaging/healthcheck.sh "127.0.0.1:$port" || fail "the second client is not served: $(cat "$scratch/log")"
# The process is now the server itself.
stop_server 2>/dev/null
echo "a socket of systemd-socket-activate is served"

# The units with the program built here: the installed path does not exist.
mkdir "$scratch/units"
cp packaging/systemd/display-server.socket "$scratch/units"
sed "s|^ExecStart=display-server |ExecStart=$program |; /^Documentation=/d" packaging/systemd/display-server.service \
    >"$scratch/units/display-server.service"
systemd-analyze --man=no verify "$scratch/units/display-server.service" "$scratch/units/display-server.socket" >"$scratch/verify" 2>&1 ||
    fail "systemd-analyze: $(cat "$scratch/verify")"
! grep "$scratch/units" "$scratch/verify" || fail "systemd-analyze warns"
# Unknown options in the unit would otherwise be found only at the start.
read -ra words < <(sed -n 's/^ExecStart=display-server //p' packaging/systemd/display-server.service)
for word in "${words[@]}"; do
    [[ $word != --* ]] || "$program" --help | grep -qE "^ +$word( |\$)" || fail "display-server.service: $word is no option"
done
echo "the units are correct"
