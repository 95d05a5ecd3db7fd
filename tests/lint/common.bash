# shellcheck shell=bash
# For the lint scripts: they run from the source's top folder and look at its own files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# need TOOL PACKAGE: a missing tool is a failure, never a silent pass.
need() {
    command -v "$1" >/dev/null && return
    echo "$1 is missing: apt-get install $2 (tests/run installs it)" >&2
    exit 1
}

# The source's own files that match the patterns, such as '*.c'; none that git ignores.
files() {
    local list
    if list=$(git ls-files -co --exclude-standard -- "$@" 2>/dev/null); then
        while IFS= read -r file; do
            if [ -f "$file" ]; then echo "$file"; fi
        done <<<"$list" | sort -u
        return
    fi
    local -a names=()
    for pattern in "$@"; do names+=(-o -path "./$pattern"); done
    find . \( -name .git -o -name build -o -name node_modules -o -name sluice-data \) -prune -o \
        -type f \( "${names[@]:1}" \) -print | sed 's,^\./,,' | sort
}
