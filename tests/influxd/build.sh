#!/usr/bin/env bash
# Builds the InfluxDB the tests run against, and prints the path of the binary (last line of stdout).
#
# Why from source: a Go module proxy and a crates registry are reachable from places where the
# vendor's downloads and container images are not, and both pin what they deliver by checksum
# (go.sum here, Cargo.lock inside flux).
#
# Needs: go (1.25 or newer, or one that may fetch that toolchain), cargo and rustc (1.83 or newer),
# a C compiler and the real pkg-config; on Debian that is `gcc libc6-dev pkg-config` beside Go and
# Rust. Neither clang nor protoc nor OpenSSL is used. A cold build takes 4 to 8 minutes on two cores
# and leaves 3 GB in the caches of Go and cargo; afterwards the binary is found at once.
#
# Why each oddity below is there:
#   * InfluxDB embeds flux, a Rust library. Its Go side asks `pkg-config` for it, and InfluxData's
#     own pkg-config answers by compiling it with cargo, passing other names on to the real one.
#     So that program is built first, at the version go.mod names, and put first on PATH.
#   * flux-core denies all warnings, so every newer compiler breaks it. It is compiled for the host
#     too (a build script uses it), where RUSTFLAGS does not reach: a wrapper around rustc does.
#   * flux brings a rust-toolchain file naming a version rustup would go and fetch: RUSTUP_TOOLCHAIN
#     takes precedence over it.
#   * go.mod repeats InfluxDB's `replace` because Go ignores those of dependencies.
#   * The tag `assets` is left out: the web interface is generated and not part of the module.
set -euo pipefail

version=2.9.1
package=github.com/influxdata/influxdb/v2/cmd/influxd
cache="${MONITOR_INFLUXD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/heartbeat-monitor}/influxd-$version"
binary="$cache/influxd"

if [[ -x "$binary" ]]; then
    echo "$binary"
    exit 0
fi

missing=()
for tool in go cargo rustc pkg-config; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ! command -v "${CC:-gcc}" >/dev/null; then
    missing+=("${CC:-gcc} (a C compiler)")
fi
if (( ${#missing[@]} )); then
    echo "build.sh: cannot build InfluxDB $version, not found on PATH:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
fi

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
mkdir -p "$cache"
cache="$(cd -- "$cache" && pwd)"
binary="$cache/influxd"
work="$(mktemp -d "$cache/build.XXXXXX")"
trap 'rm -rf -- "$work"' EXIT
log="$cache/build.log"

mkdir "$work/bin"
cat >"$work/rustc-wrapper" <<'WRAPPER'
#!/bin/sh
exec "$@" --cap-lints=allow
WRAPPER
chmod +x "$work/rustc-wrapper"

export RUSTC_WRAPPER="$work/rustc-wrapper"
export CGO_ENABLED=1
if command -v rustup >/dev/null; then
    export RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}"
fi

build() {
    go build -mod=readonly -o "$work/bin/pkg-config" github.com/influxdata/pkg-config
    PATH="$work/bin:$PATH" go build -mod=readonly -o "$work/influxd" \
        -tags sqlite_foreign_keys,sqlite_json \
        -ldflags "-s -w -X main.version=$version" "$package"
}

echo "build.sh: building InfluxDB $version, some minutes; log: $log" >&2
if ! (build) >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "build.sh: building InfluxDB $version failed; the whole log: $log" >&2
    exit 1
fi

# A rename, so that no process ever starts half a binary, and of two builders at once either may win.
mv -- "$work/influxd" "$binary"
echo "$binary"
