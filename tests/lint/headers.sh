#!/usr/bin/env bash
# Fails when a header does not compile alone, with gcc or with clang, or has a guard of
# another name than its path.
. "$(dirname "$0")/common.bash"
need gcc build-essential
need clang clang
need pkg-config pkg-config

read -ra flags <<<"$(pkg-config --cflags libevent libcurl hiredis jansson yaml-0.1 libcrypto cmocka)"
flags+=(-std=c17 -D_GNU_SOURCE -I. -Wall -Wextra -Wpedantic -Werror -fsyntax-only)

# Not compiled as the main file: clang then warns of static functions that are not used.
check() {
    local header=$1 guard code=0
    guard=$(tr 'a-z/.-' 'A-Z___' <<<"$header")
    if ! grep -q "^#ifndef $guard\$" "$header"; then
        echo "$header: its guard is not $guard" >&2
        code=1
    fi
    for compiler in gcc clang; do
        if ! echo "#include \"$header\"" | "$compiler" "${flags[@]}" -x c -; then
            echo "$header does not compile alone with $compiler" >&2
            code=1
        fi
    done
    return $code
}

bad=0
count=0
while IFS= read -r header; do
    case $header in tests/*) continue ;; esac
    check "$header" || bad=1
    count=$((count + 1))
done < <(files '*.h')
echo "$count headers"
[ "$count" -gt 0 ] || bad=1
exit $bad
