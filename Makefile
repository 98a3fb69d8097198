# Targets: build, check (vet, lint, test), race, cross, bench, fuzz, chaos, release, clean.
GO      ?= go
GOLANGCI ?= golangci-lint
GOLANGCI_PKG := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT_PKG := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
ACT_PKG := github.com/nektos/act@v0.2.89
FUZZTIME ?= 60s

export PATH := $(PATH):$(shell $(GO) env GOPATH)/bin

.PHONY: build check vet cross lint workflows test race bench fuzz chaos release clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags="-s -w" -o cromt ./cmd/cromt

check: vet lint test

vet:
	$(GO) vet ./...

# The other systems, which takes as long again for each; their own runners do it in CI.
cross:
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

lint: workflows
	@command -v $(GOLANGCI) >/dev/null || $(GO) install $(GOLANGCI_PKG)
	@command -v shellcheck >/dev/null || { echo "shellcheck is not installed; on Debian: apt-get install shellcheck" >&2; exit 1; }
	$(GOLANGCI) run ./...
	shellcheck .ci/run .github/action/*.sh .github/release/*.sh

workflows:
	@command -v actionlint >/dev/null || $(GO) install $(ACTIONLINT_PKG)
	actionlint

# All tests are built with the race detector. The processes that they start are
# the plain program, several times as quick; those of race are not. Many wait
# more than they work: three packages at a time keep two cores busy.
test: workflows build
	@command -v act >/dev/null || $(GO) install $(ACT_PKG)
	CROMT_BINARY=$(CURDIR)/cromt $(GO) test -race -p 3 -parallel 4 -timeout 25m ./...

race:
	$(GO) test -race -parallel 4 -timeout 60m ./cmd/cromt

# All figures of the README as one table, printed and written to BENCH_TABLE; needs a quiet machine for some ten
# minutes. Compared with the others that are installed, among make, ninja, rake, and
#   go install github.com/go-task/task/v3/cmd/task@v3.45.4 $(ACT_PKG)
BENCH_TABLE ?= bench.md
BENCH_RAW   := $(BENCH_TABLE).txt
BENCH       := CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run '^$$' -timeout 1h
bench: SHELL = bash
bench: .SHELLFLAGS = -o pipefail -c
bench: build
	$(BENCH) -bench '^BenchmarkPeers$$' -benchtime 5x ./cmd/cromt | tee $(BENCH_RAW)
	$(BENCH) -bench WaitHosts -benchtime 1x ./sparky | tee -a $(BENCH_RAW)
	$(BENCH) -bench ServeAck -benchtime 5000x ./cmd/cromt | tee -a $(BENCH_RAW)
	$(BENCH) -bench ServeStart -benchtime 100x ./cmd/cromt | tee -a $(BENCH_RAW)
	$(BENCH) -bench ServeFailover -benchtime 10x ./cmd/cromt | tee -a $(BENCH_RAW)
	$(BENCH) -bench 'Accept|Transitions' -benchtime 5000x ./bot/store | tee -a $(BENCH_RAW)
	$(BENCH) -bench File10000 ./flow | tee -a $(BENCH_RAW)
	$(GO) test -count=1 -v -run 'TestCost/(25|100|1000)_jobs,_5%_fail,_spread' ./bot/checks | tee -a $(BENCH_RAW)
	CROMT_BENCH_RAW=$(abspath $(BENCH_RAW)) CROMT_BENCH_TABLE=$(abspath $(BENCH_TABLE)) $(GO) test -count=1 -run TestBenchTable ./cmd/cromt
	cat $(BENCH_TABLE)

# Kills, broken networks, full disks by the thousand; best as root, with strace.
# Then a million random runs of the engine against its reference model, in
# virtual time, and jobs that print 10 GB. CROMT_CHAOS_SOAK=60m adds an hour of steady work, CROMT_TEST_SEED repeats a time.
chaos: build
	CROMT_CHAOS=full CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run Chaos -parallel 5 -timeout 3h -v ./cmd/cromt
	CROMT_CHAOS_SCHEDULES=1000000 $(GO) test -run TestModel -timeout 3h -v ./flow
	CROMT_CHAOS=full $(GO) test -run TestLogFlood -timeout 3h -v ./sparky/agent

fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
	  done; \
	done

# What the commit of a release holds: see .github/CONTRIBUTING.md.
release:
	.github/release/build.sh "$(VERSION)" dist
	cp dist/checksums.txt .github/action/checksums.txt
	echo "$(VERSION)" >.github/action/version

clean:
	rm -rf cromt dist $(BENCH_TABLE) $(BENCH_RAW)
