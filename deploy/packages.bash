# shellcheck shell=bash
# For deploy/quickstart and tests/run: Debian packages, installed when they are missing.

# What the service needs to be built and to run. (Versions: Debian 12.)
# shellcheck disable=SC2034 # used by the scripts that read this file
service_packages=(build-essential cmake ninja-build pkg-config libevent-dev libcurl4-openssl-dev
    libhiredis-dev libjansson-dev libyaml-dev libssl-dev libcmocka-dev redis-server
    libjs-dygraphs ca-certificates curl)

say() { printf '%s\n' "== $*" >&2; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "This needs root, and sudo is not here. As root: $*"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages PACKAGE...: quick when nothing is missing.
install_packages() {
    if ! command -v apt-get >/dev/null; then
        say "No apt-get here. These Debian packages, or what your system calls them, are needed: $*"
        return
    fi

    local package missing=()
    for package in "$@"; do is_installed "$package" || missing+=("$package"); done
    [ "${#missing[@]}" -gt 0 ] || return 0

    say "Installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >&2
    case " ${missing[*]} " in
    *' redis-server '*)
        say "Debian starts a Redis of its own with redis-server. Sluice does not use it; to stop it:" \
            "systemctl disable --now redis-server"
        ;;
    esac
}
