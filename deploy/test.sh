#!/bin/bash
# Runs every test, and fails if one fails or was skipped. The whole output is
# kept in a file, which is named at the end. Pictures of the pages are left in
# the directory KEYFOB_SCREENSHOTS, if that names one.
set -u
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp -t keyfob-test.XXXXXX)
failed=0

[ -z "${KEYFOB_SCREENSHOTS:-}" ] || KEYFOB_SCREENSHOTS=$(realpath -m "$KEYFOB_SCREENSHOTS")

# step NAME COMMAND... runs a command and says how it went.
step() {
  local name=$1 began=$SECONDS from
  from=$(($(wc -l <"$log") + 1))
  shift
  printf '%s\n' "== $name: $*"
  if "$@" >>"$log" 2>&1; then
    printf '   ok, %d s\n' $((SECONDS - began))
  else
    printf '   FAILED, %d s\n' $((SECONDS - began))
    tail -n "+$from" "$log" | grep -nE -B5 '^\s*--- FAIL|^panic:|DATA RACE|\[build failed\]|^[a-z/_]+\.go:[0-9]+:[0-9]+:|not found$' | tail -80
    failed=1
  fi
}

generated() {
  local before
  before=$(sha256sum webui/*_templ.go)
  go generate ./... && diff <(echo "$before") <(sha256sum webui/*_templ.go)
}

# The whole program is tested on networks of its own, which only root can make.
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "the tests with real VPNs need root or sudo: run make test as root" >&2; exit 1; }
  root=(sudo -H env "PATH=$PATH" "GOMODCACHE=$(go env GOMODCACHE)" "GOPROXY=off" "GOFLAGS=-buildvcs=false")
fi

step "vet" go vet ./...
step "generated code is current" generated
step "modules are tidy" go mod tidy -diff
step "lint" make --no-print-directory lint
[ "$failed" -eq 0 ] || { echo "stopped before the tests: fix these first; whole output: $log"; exit 1; }
# The packages that start clusters and namespaces have the machine to themselves.
quiet=$(go list ./... | grep -vE '^keyfob/(cluster|cmd/keyfob|cmd/keyfob/bench|webui)$')
# shellcheck disable=SC2086 # a list
step "units and doors" go test -count=1 -v -timeout 15m $quiet
step "pages in a browser" go test -count=1 -v -timeout 15m ./webui
step "cluster" env KEYFOB_ROUNDS=1000 go test -count=1 -v -timeout 20m ./cluster
step "whole program, real VPN" "${root[@]}" go test -count=1 -v -timeout 25m ./cmd/keyfob ./cmd/keyfob/bench
step "race detector" go test -count=1 -v -race -short -timeout 20m ./engine ./fsm ./events/... ./radius ./cluster
step "fuzz" make --no-print-directory fuzz FUZZTIME=20000x

passed=$(grep -cE '^\s*--- PASS' "$log")
broken=$(grep -cE '^\s*--- FAIL' "$log")
skipped=$(grep -cE '^\s*--- SKIP' "$log")
[ "$skipped" -eq 0 ] || { echo "skipped, which counts as failed here:"; grep -E -A1 '^\s*--- SKIP' "$log"; failed=1; }
echo "whole output: $log"
echo "$passed passed, $broken failed, $skipped skipped"
exit $failed
