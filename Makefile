# The version of the linter is here only, not in go.mod: Sluice does not depend on it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# More for go test, such as TESTFLAGS='-v -run Swap'.
TESTFLAGS :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/sluice, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/sluice ./cmd/sluice

.PHONY: test
test: ## run all tests, on real MySQL servers (fetched if there is none)
	go test -race -timeout 20m $(TESTFLAGS) ./...

CLIENTS := cmd/sluice/testdata/clients

$(CLIENTS)/node_modules: $(CLIENTS)/package-lock.json
	npm ci --no-audit --no-fund --prefix $(CLIENTS)
	@touch $@

.PHONY: clients
clients: $(CLIENTS)/node_modules ## real clients through Sluice: mysql, mariadb, Go, node, Python
	@for p in mariadb node; do command -v $$p >/dev/null || { echo "make clients needs $$p: on Debian, apt-get install mariadb-client nodejs npm"; exit 1; }; done
	@/usr/bin/python3 -c 'import pymysql' || { echo "make clients needs PyMySQL: on Debian, apt-get install python3-pymysql"; exit 1; }
	go test -race -count=1 -tags clients -run TestClients $(TESTFLAGS) ./cmd/sluice

.PHONY: check
check: ## formatting, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags clients ./cmd/sluice
	go run $(STATICCHECK) ./...

.PHONY: demo
demo: build ## an ALTER TABLE under load, on a MySQL of its own
	bin/sluice demo

.PHONY: clean
clean: ## remove what was built, and the fetched MySQL
	rm -rf bin .sluice $(CLIENTS)/node_modules
