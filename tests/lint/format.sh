#!/usr/bin/env bash
# Fails when a C file is not laid out as .clang-format says.
. "$(dirname "$0")/common.bash"
need clang-format clang-format

mapfile -t sources < <(files '*.c' '*.h')
[ "${#sources[@]}" -gt 0 ]
clang-format --dry-run -Werror "${sources[@]}"
