# keyfob: the two commands are `make demo` and `make test`.

build:            ## the program, static, in bin/keyfob
	CGO_ENABLED=0 go build -trimpath -o bin/keyfob ./cmd/keyfob

demo: build       ## three nodes on this machine, with sample users and software tokens
	./bin/keyfob dev --dir dev

test:             ## every test, with the real peers; none is skipped
	sh deploy/peers.sh
	bash deploy/test.sh

fuzz: FUZZTIME ?= 1m
fuzz:             ## every fuzz target, FUZZTIME each
	@for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+)\(.*/\1/p' $$file); do \
	    echo "== $$(dirname $$file) $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
	  done; \
	done

soak: SOAKTIME ?= 3600
soak:             ## clusters killed and cut at random for SOAKTIME seconds, histories checked
	end=$$(( $$(date +%s) + $(SOAKTIME) )); rounds=0; \
	go test -c -o bin/cluster.test ./cluster || exit 1; \
	while [ $$(date +%s) -lt $$end ]; do \
	  bin/cluster.test -test.run 'Histor|Surviv|Spent|Guess|Dies' -test.count=1 -test.timeout 20m || exit 1; \
	  rounds=$$(( rounds + 1 )); echo "== $$rounds rounds, $$(( end - $$(date +%s) )) s left"; \
	done

bench: build      ## logins a second, beside Raft alone
	./bin/keyfob bench

timing:           ## 50,000 refusals on one and on three nodes, their times compared
	KEYFOB_TIMING=50000 go test -count=1 -v -timeout 0 -run RefusalsCannotBeToldApart ./cmd/keyfob

lint:             ## run golangci-lint, built from the version that deploy/lint/go.mod pins
	go tool -modfile=deploy/lint/go.mod golangci-lint run

help:             ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

.PHONY: build demo test timing fuzz soak bench lint help
