# The version of the linter is here only, not in go.mod: Sluice does not depend on it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# More for go test, such as TESTFLAGS='-v -run Swap'.
TESTFLAGS :=

# More for the benchmark, such as BENCHFLAGS='--rounds 9 --connections 16'.
BENCHFLAGS :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

# How long each fuzz target runs.
FUZZTIME := 5s

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$(dirname $$file); \
		done; \
	done

.PHONY: bench-proxy
bench-proxy: build ## the relay beside HAProxy and MySQL Router: speed, CPU, memory
	@command -v sysbench >/dev/null || { echo "make bench-proxy needs sysbench, and measures haproxy where it is installed: on Debian, apt-get install sysbench haproxy"; exit 1; }
	go run ./bench/relaybench --out bin/bench-proxy $(BENCHFLAGS)
	go run ./bench/relaybench --idle 10000
	go run ./bench/relaybench --transfers

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
