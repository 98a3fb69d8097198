# Targets: build, check (what CI runs), bench, fuzz, clean.
GO      ?= go
GOLANGCI ?= golangci-lint
GOLANGCI_PKG := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 60s

.PHONY: build check vet lint test bench fuzz clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags="-s -w" -o cromt ./cmd/cromt

check: vet lint test

vet:
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

lint:
	@command -v $(GOLANGCI) >/dev/null || $(GO) install $(GOLANGCI_PKG)
	PATH="$$PATH:$$($(GO) env GOPATH)/bin" $(GOLANGCI) run ./...

test:
	$(GO) test -race -timeout 10m ./...

# Whole processes side by side with xargs -P2; needs a quiet machine.
bench: build
	CROMT_BINARY=$(CURDIR)/cromt $(GO) test -run '^$$' -bench . -benchtime 5x -timeout 30m ./cmd/cromt
	$(GO) test -run '^$$' -bench . ./flow ./sparky/...

fuzz:
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; \
	  done; \
	done

clean:
	rm -rf cromt dist
