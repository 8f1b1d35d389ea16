#!/bin/sh
# Install the programs that the tests use: VPN gateway and client, RADIUS tools,
# other implementations of tokens, a browser, a mail server, an HSM in software. Needs Debian 12 or
# later, and root or sudo. Does nothing if all are installed.
set -eu

packages="chromium curl expect freeradius-utils gcc iproute2 iputils-ping jq libc6-dev nftables oathtool ocserv
  openconnect openssl procps python3 python3-aiosmtpd radsecproxy softhsm2 stoken vpnc-scripts zbar-tools"

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "peers: packages are missing, and installing them needs root or sudo; run: apt-get install$missing" >&2
    exit 1
  fi
  as_root="sudo"
fi
echo "peers: installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
