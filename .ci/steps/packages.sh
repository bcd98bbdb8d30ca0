#!/usr/bin/env bash
# Installs the missing Debian packages. Needs root only if one is missing.
source "$(dirname "$0")/../lib.sh"

packages=(gcc libc6-dev python3 python3-msgpack neovim)
# For the window: a screen in memory, the libraries that a window loads at run time, and a software renderer.
packages+=(xvfb libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0 mesa-vulkan-drivers)
# For the instruction counts.
packages+=(valgrind)
# For sockets passed by a service manager, and for units.
packages+=(systemd)
# For the two machines of README.
packages+=(openssh-client openssh-server)

missing=()
for package in "${packages[@]}"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
        missing+=("$package")
    fi
done
if ((${#missing[@]} > 0)); then
    echo "installing ${missing[*]}"
    ((EUID == 0)) || fail "not root: install ${missing[*]} by hand"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >"$scratch/apt" ||
        { cat "$scratch/apt" && fail "apt-get could not install ${missing[*]}"; }
fi
"$python" -c 'import msgpack; print("msgpack", *msgpack.version)'
nvim --version | head -n 1
rustc --version
cargo --version
