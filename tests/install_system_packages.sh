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
  echo "not root: tests that need ${wanted[*]} will be skipped" >&2
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || { echo "no apt-get: tests that need ${wanted[*]} will be skipped" >&2; exit 0; }
echo "installing ${wanted[*]} for the browser and command-line tests ..." >&2
"${as_root[@]}" apt-get update -qq >/dev/null 2>&1
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null 2>&1 ||
  echo "could not install ${wanted[*]}" >&2
exit 0
