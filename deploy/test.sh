#!/bin/bash
# Run every test. Fails if a test fails or is skipped. The complete output is in
# a file, which is named at the end. If KEYFOB_SCREENSHOTS names a directory,
# pictures of the pages are written to it.
set -u
cd "$(dirname "$0")/.." || exit 1

logs=$(mktemp -d -t keyfob-test.XXXXXX)
[ -z "${KEYFOB_SCREENSHOTS:-}" ] || KEYFOB_SCREENSHOTS=$(realpath -m "$KEYFOB_SCREENSHOTS")

# step NUMBER NAME COMMAND... runs a command and reports the result.
step() {
  local number=$1 name=$2 began=$SECONDS log="$logs/$1"
  shift 2
  printf '== %s: %s\n' "$name" "$*"
  if "$@" >"$log" 2>&1; then
    printf '   ok, %d s: %s\n' $((SECONDS - began)) "$name"
  else
    printf '   FAILED, %d s: %s\n%s\n' $((SECONDS - began)) "$name" "$(findings "$log")"
    touch "$logs/failed"
  fi
}

# findings prints the lines of a log that say what failed.
findings() {
  grep -nE -B5 '^\s*--- FAIL|^panic:|DATA RACE|\[build failed\]|^[a-zA-Z/_.-]+:[0-9]+:[0-9]+:|not found$' "$1" | tail -80
  tail -5 "$1"
}

# stop_if_failed ends the run with the reason.
stop_if_failed() {
  [ -e "$logs/failed" ] || return 0
  echo "stopped: $1; output: $logs"
  exit 1
}

generated() {
  local before
  before=$(sha256sum webui/*_templ.go)
  go generate ./... && diff <(echo "$before") <(sha256sum webui/*_templ.go)
}

# The tests of the whole program use network namespaces, which need root.
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "the tests with a real VPN need root or sudo: run make test as root" >&2; exit 1; }
  sudo -v || exit 1
  root=(sudo -H env "PATH=$PATH" "GOMODCACHE=$(go env GOMODCACHE)" "GOPROXY=off" "GOFLAGS=-buildvcs=false")
fi

# Installing packages waits for the network while the checks compute.
step 10 "peers" sh deploy/peers.sh &
step 20 "modules are tidy" go mod tidy -diff
step 21 "generated code is current" generated
step 22 "vet" go vet ./...
step 23 "lint" make --no-print-directory lint
wait
stop_if_failed "fix these before the tests run"

quiet=$(go list ./... | grep -vE '^keyfob/(cluster|cmd/keyfob|webui)$')
# shellcheck disable=SC2086 # a list
step 30 "unit tests" go test -count=1 -v -timeout 15m $quiet
stop_if_failed "unit tests fail"

# These compute. They run at low priority beside the tests below, which wait
# for timers, disks, browsers and VPNs.
computing() {
  step 40 "race detector" nice -n 19 go test -count=1 -v -race -short -timeout 30m ./engine ./fsm ./events/... ./radius ./cluster/clock ./cluster/refusal
  step 41 "fuzz" nice -n 19 make --no-print-directory fuzz FUZZTIME=20000x
}
computing &
step 50 "pages in a browser" go test -count=1 -v -timeout 15m ./webui
step 51 "cluster" env KEYFOB_ROUNDS=1000 go test -count=1 -v -timeout 20m ./cluster
step 52 "whole program, real VPN" "${root[@]}" go test -count=1 -v -timeout 25m ./cmd/keyfob
wait
step 60 "race detector, cluster" go test -count=1 -v -race -short -timeout 20m ./cluster

log=$logs/all
cat "$logs"/[0-9]* >"$log"
passed=$(grep -cE '^\s*--- PASS' "$log")
broken=$(grep -cE '^\s*--- FAIL' "$log")
skipped=$(grep -cE '^\s*--- SKIP' "$log")
[ "$skipped" -eq 0 ] || { echo "skipped tests count as failures:"; grep -E -A1 '^\s*--- SKIP' "$log"; touch "$logs/failed"; }
echo "complete output: $log"
echo "$passed passed, $broken failed, $skipped skipped, $SECONDS s"
[ ! -e "$logs/failed" ]
