"""A script for a POSIX shell with curl."""

from __future__ import annotations

import shlex
from pathlib import Path

from comfywatchman.report.scripts.errand import PROMISE, Errand, Errands

_FUNCTIONS = r"""
failed=0
fail() { printf '%s: %s\n' "$1" "$2" >&2; failed=$((failed + 1)); }

command -v curl >/dev/null || { echo 'curl is needed.' >&2; exit 3; }

digest() {
    if command -v sha256sum >/dev/null; then sha256sum < "$1"
    elif command -v shasum >/dev/null; then shasum -a 256 < "$1"
    else openssl dgst -sha256 -r < "$1"; fi | cut -c 1-64
}

# The token comes from the environment and goes through a pipe: nobody sees it among the processes.
# curl sends it to the first host only.
secret() {
    case $1 in
        HF_TOKEN) value=${HF_TOKEN-} ;;
        CIVITAI_API_KEY) value=${CIVITAI_API_KEY-} ;;
        *) value= ;;
    esac
    if [ -n "$value" ]; then printf 'header = "Authorization: Bearer %s"\n' "$value"; fi
}

# get URL PART VARIABLE PROTOCOLS: goes on where it stopped, five times.
get() {
    try=0
    while [ "$try" -lt 5 ]; do
        secret "$3" | curl --config - --fail --location --proto "$4" --proto-redir "$4" \
            --continue-at - --connect-timeout 30 --speed-limit 1000 --speed-time 60 \
            --show-error --output "$2" --url "$1"
        status=$?
        case $status in
            0) return 0 ;;
            22 | 33 | 36 | 37 | 1 | 3 | 6) return "$status" ;;  # what another try does not change
        esac
        try=$((try + 1))
        sleep "$try"
    done
    return "$status"
}

whole() {
    [ -f "$1" ] && { [ -z "$3" ] || [ "$(wc -c < "$1" | tr -d ' ')" = "$3" ]; } &&
        { [ -z "$2" ] || [ "$(digest "$1")" = "$2" ]; }
}

# fetch TARGET PART SHA256 SIZE VARIABLE PROTOCOLS URL...
fetch() {
    target=$1 part=$2 sha256=$3 size=$4 variable=$5 protocols=$6
    shift 6
    if [ -e "$target" ] || [ -L "$target" ]; then
        if whole "$target" "$sha256" "$size"; then echo "here already: $target"
        else fail "$target" 'is there with other bytes, and stays as it is.'; fi
        return
    fi
    mkdir -p "$(dirname "$target")" || { fail "$target" 'its directory cannot be made.'; return; }
    for url in "$@"; do
        for _ in 1 2; do
            { [ -n "$sha256$size" ] && whole "$part" "$sha256" "$size"; } ||
                get "$url" "$part" "$variable" "$protocols"
            got=$?
            if [ "$got" = 0 ] && whole "$part" "$sha256" "$size"; then
                # A link, because it never replaces a file; where there are no links, mv -n.
                if ln "$part" "$target" 2>/dev/null; then rm -f "$part"
                else mv -n "$part" "$target"; fi
                if [ -e "$part" ]; then fail "$target" 'could not be given its name.'
                elif [ -n "$sha256" ]; then echo "verified: $target"
                else echo "placed, but nobody publishes a hash that would prove it: $target"; fi
                return
            fi
            # 22: the server refuses; 33: it gives no second half. Else what came is not the file.
            if [ "$got" = 0 ] || [ "$got" = 33 ]; then rm -f "$part"; else break; fi
        done
        variable=  # it is the first host's
    done
    fail "$target" 'could not be fetched as it should be.'
}
"""


def to_sh(errands: Errands) -> str:
    """Return the script; a path of it is below ``$MODELS`` where it is below ComfyUI's models."""
    lines = ["#!/bin/sh"]
    lines += [f"# {line}".rstrip() for line in (*errands.heading(), *PROMISE)]
    if any(errand.variable for errand in errands.each):
        variables = sorted({errand.variable for errand in errands.each if errand.variable})
        lines.append(f"# Tokens are read from the environment: {', '.join(variables)}.")
    lines += ["# MODELS=DIR before it names another directory of models.", "", "set -u"]
    lines += ["umask 022", f"default={_quoted(errands.models)}", "MODELS=${MODELS:-$default}"]
    lines.append(_FUNCTIONS)
    for errand in errands.each:
        lines += [f"# {errand.title}", _call(errand, errands.models)]
    lines += [
        "",
        f"missing={len(errands.left_out)}",
        '[ "$missing" = 0 ] || echo "Not part of this script: $missing; see its head." >&2',
        '[ "$failed" = 0 ] && [ "$missing" = 0 ]',
    ]
    return "\n".join(lines) + "\n"


def _call(errand: Errand, models: Path) -> str:
    plain = any(url.startswith("http://") for url in errand.urls)
    words = [
        _below(errand.final, models),
        _below(errand.part, models),
        errand.sha256 or "''",
        "''" if errand.size is None else str(errand.size),
        errand.variable or "''",
        "=http,https" if plain else "=https",
        *map(shlex.quote, errand.urls),
    ]
    return " \\\n    ".join(["fetch", " ".join(words[:2]), " ".join(words[2:6]), *words[6:]])


def _below(path: Path, models: Path) -> str:
    if path.is_relative_to(models):
        return '"$MODELS"/' + _quoted(path.relative_to(models))
    return _quoted(path)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
