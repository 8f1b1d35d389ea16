# Build and test keyfob. "make help" lists the targets.

build:            ## build bin/keyfob, a static binary
	CGO_ENABLED=0 go build -trimpath -o bin/keyfob ./cmd/keyfob

fips:             ## build bin/keyfob with the validated Go Cryptographic Module, FIPS 140-3 mode on
	CGO_ENABLED=0 GOFIPS140=certified go build -trimpath -o bin/keyfob ./cmd/keyfob

pkcs11:           ## build bin/keyfob-pkcs11, the program for seal.provider pkcs11; needs gcc
	CGO_ENABLED=1 go build -trimpath -o bin/keyfob-pkcs11 ./cmd/keyfob-pkcs11

demo: build       ## run three nodes on this machine with sample users and software tokens
	./bin/keyfob dev --dir dev

test:             ## run every test, with a real VPN and browser; a skipped test is a failure
	bash deploy/test.sh

lint:             ## run golangci-lint, built from the version that deploy/lint/go.mod pins
	go tool -modfile=deploy/lint/go.mod golangci-lint run

fuzz: FUZZTIME ?= 1m
fuzz:             ## run every fuzz target for FUZZTIME (a duration, or a count such as 20000x)
	@for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+)\(.*/\1/p' $$file); do \
	    echo "== $$(dirname $$file) $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$(dirname $$file) || exit 1; \
	  done; \
	done

soak: SOAKTIME ?= 3600
soak:             ## kill nodes and cut networks at random for SOAKTIME seconds, and check histories
	end=$$(( $$(date +%s) + $(SOAKTIME) )); rounds=0; \
	go test -c -o bin/cluster.test ./cluster || exit 1; \
	while [ $$(date +%s) -lt $$end ]; do \
	  bin/cluster.test -test.run 'Histor|Surviv|Spent|Guess|Dies' -test.count=1 -test.timeout 20m || exit 1; \
	  rounds=$$(( rounds + 1 )); echo "== $$rounds rounds, $$(( end - $$(date +%s) )) s left"; \
	done

bench: build      ## measure logins per second, and Raft alone for comparison
	./bin/keyfob bench

picture:          ## renew the picture of the wizard in the README
	mkdir -p docs/pictures
	go test ./webui -count=1 -run TestPictureShowsTheWizard -picture $(CURDIR)/docs/pictures/wizard.png

thief:            ## attack three nodes with what a thief may have, and print what is refused
	go test -count=1 -v -run TestThiefGainsNothing ./cmd/keyfob

timing:           ## compare the times of 50,000 refusals on one and on three nodes
	KEYFOB_TIMING=50000 go test -count=1 -v -timeout 0 -run RefusalsCannotBeToldApart ./cmd/keyfob

help:             ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.PHONY: build fips pkcs11 demo test lint fuzz soak bench picture thief timing help
