# Targets: build, check (vet, lint, test), cross, bench, chaos, fuzz, release, clean.
GO      ?= go
GOLANGCI ?= golangci-lint
GOLANGCI_PKG := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT_PKG := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
ACT_PKG := github.com/nektos/act@v0.2.89
FUZZTIME ?= 60s

export PATH := $(PATH):$(shell $(GO) env GOPATH)/bin

.PHONY: build check vet cross lint workflows test bench chaos fuzz release clean

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

test: workflows
	@command -v act >/dev/null || $(GO) install $(ACT_PKG)
	$(GO) test -race -parallel 4 -timeout 25m ./...

# Whole processes side by side with xargs -P2; needs a quiet machine.
bench: build
	CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run '^$$' -bench WholeProcess -benchtime 5x -timeout 30m ./cmd/cromt
	CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run '^$$' -bench ServeAck -benchtime 5000x ./cmd/cromt
	CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run '^$$' -bench ServeStart -benchtime 100x ./cmd/cromt
	$(GO) test -run '^$$' -bench . ./flow ./sparky/...

# Kills, broken networks, full disks by the thousand; best as root, with strace.
# CROMT_CHAOS_SOAK=60m adds an hour of steady work, CROMT_TEST_SEED repeats a time.
chaos: build
	CROMT_CHAOS=full CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run Chaos -parallel 5 -timeout 3h -v ./cmd/cromt

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
	rm -rf cromt dist
