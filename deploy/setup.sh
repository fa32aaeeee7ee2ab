#!/bin/sh
# Makes a Debian or Ubuntu machine ready for `make up`: installs the stores' programs if they are
# missing; with the argument `tests` also what `make test` needs for its clients. It starts no
# service and touches none that runs: Ganglion runs its own in its folder. Run it as root or as a
# user with sudo; without either it says what is to be done.
set -eu

say() { printf '%s\n' "$*" >&2; }

# Cargo, and what compiling needs.
if ! command -v cargo >/dev/null; then
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        say "cargo is installed but not on the path: run . \"\$HOME/.cargo/env\" and try again"
    else
        say "Rust is not installed. As the user who builds:"
        say "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
        say "and open a new shell. The right version comes by itself (rust-toolchain.toml)."
    fi
    exit 1
fi

has() {
    for folder in $(printf '%s' "$PATH" | tr : ' ') /usr/sbin /sbin /usr/local/sbin /usr/lib/postgresql/*/bin; do
        [ ! -x "$folder/$1" ] || return 0
    done
    return 1
}

missing=""
need() { has "$1" || missing="$missing $2"; }
need initdb postgresql
need redis-server redis-server
need haproxy haproxy
need pgbouncer pgbouncer
need setpriv util-linux
need cc build-essential
need curl curl
if [ "${1:-}" = tests ]; then
    need npm npm
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3 python3-venv"
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    say "Please install by your system's means:$missing"
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    root="sudo"
else
    say "These packages are missing; please install them:"
    say "    sudo apt-get update && sudo apt-get install --no-install-recommends$missing"
    say "Their system services are not needed and may be disabled:"
    say "    sudo systemctl disable --now postgresql redis-server haproxy pgbouncer"
    exit 1
fi

say "Installing$missing"
# Packages of servers start them when installed; this keeps them from it, unless the machine has a
# policy of its own.
policy=/usr/sbin/policy-rc.d
ours=""
cleanup() { [ -z "$ours" ] || $root rm -f "$policy"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
    $root chmod 755 "$policy"
fi
# Not even a database that nobody asked for.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    $root mkdir -p /etc/postgresql-common/createcluster.d
    created=/etc/postgresql-common/createcluster.d/ganglion-setup.conf
    printf 'create_main_cluster = false\n' | $root tee "$created" >/dev/null
    cleanup() { $root rm -f "$created"; [ -z "$ours" ] || $root rm -f "$policy"; }
fi
$root apt-get update -qq || say "apt-get update failed; trying with the lists there are"
# The packages' names are words.
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
# What was not started now is not to be started at the next boot either.
if command -v systemctl >/dev/null; then
    for service in postgresql redis-server haproxy pgbouncer; do
        case " $missing " in
        *" $service "*) $root systemctl disable --quiet "$service" 2>/dev/null || true ;;
        esac
    done
fi
say "Installed."
