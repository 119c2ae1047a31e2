#!/usr/bin/env bash
# Installs what the tests use beyond Python, where it may (as root, or by sudo without a password).
# Where it may not, the tests that need it are skipped by name; REQUIRE_SYSTEM_PACKAGES=1 forbids that.
set -u
wanted=()
command -v chromium >/dev/null 2>&1 || wanted+=(chromium)
command -v nginx >/dev/null 2>&1 || wanted+=(nginx-light)
command -v curl >/dev/null 2>&1 || wanted+=(curl)
command -v openssl >/dev/null 2>&1 || wanted+=(openssl)
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo -n); else
  echo "not root: tests that need ${wanted[*]} will be skipped; to run them: sudo apt-get install ${wanted[*]}" >&2
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || { echo "no apt-get: tests that need ${wanted[*]} will be skipped" >&2; exit 0; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
  "${as_root[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -q --no-install-recommends "${wanted[@]}"
} >"$log" 2>&1 </dev/null &
apt=$!
echo "Installing ${wanted[*]} by apt-get, for the browser and command-line tests; it takes a minute or so." >&2
seconds=0
while kill -0 "$apt" 2>/dev/null; do
  sleep 1
  ((++seconds % 5)) || printf '%5d s  %.100s\n' "$seconds" "$(tail -n 1 "$log")" >&2
done
wait "$apt" && exit 0
echo "Could not install ${wanted[*]}: tests that need them are skipped. The last words of apt-get:" >&2
tail -n 5 "$log" >&2
exit 0
