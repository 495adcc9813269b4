# Two commands do everything on a machine that has Go: make run and make test.
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
GO       ?= go

# Linux, macOS and FreeBSD, each on amd64 and arm64, are where Gannet builds. No file of it is for one pair alone, so make lint has
# each of them checked once.
ELSEWHERE := linux/arm64 darwin/arm64 freebsd/amd64

.PHONY: run build test race fuzz conformance interop crash-test bench benchcmp compare compare-durable lint check clean

run: build
	bin/gannet serve --listen mqtt://127.0.0.1:1883 --data-dir ./data

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o bin/gannet ./cmd/gannet

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

fuzz: # every fuzz target of the tree, FUZZTIME each
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	  $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p || exit 1; done; done

conformance: # the table of statements, tests and results
	GANNET_CONFORMANCE_TABLE=1 $(GO) test -count=1 ./engine/conformance -v -run .

interop: build # installs third-party clients where they are missing
	cmd/interop/run.sh

crash-test: build # the whole core simulated with crashes, then the binary killed under third-party clients
	$(GO) test -count=1 ./engine/broker -run TestSimulation -sim.runs 3000
	cmd/interop/run.sh crash

bench: build # micro-benchmarks and short loads; gannet bench scale has the large sizes
	$(GO) test -run '^$$' -bench . -skip 'IdleSessions|Restore' -benchtime 0.2s ./codec ./router ./persist ./engine/session ./engine/broker ./engine
	bin/gannet bench load --brokers gannet --rounds 1 --seconds 1

benchcmp: # BASE=rev beside HEAD, for reviews: micro-benchmarks through benchstat, and CPU per message
	$(GO) run ./cmd/gannet bench cmp --base "$(BASE)"

compare: build # Gannet beside Debian's mosquitto, nats-server and Mochi on the same loads, as a report with charts
	bin/gannet bench compare --build bin/peers --out bench/results/$(shell date -u +%Y-%m-%d)

compare-durable: build # the queues of absent clients, beside mosquitto and nats-server
	bin/gannet bench durable --build bin/peers

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	@for t in $(ELSEWHERE); do echo "$(GO) vet ./... # $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet ./... || exit 1; done
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...; fi

check: lint race conformance crash-test
	$(MAKE) fuzz FUZZTIME=5000x

clean:
	rm -rf bin
