# weir: `make` lists the targets.
#
# Each target first sees to it that the programs it needs are there (scripts/need): as root it installs them from the
# distribution, otherwise it names them and stops. NEED=true skips that.

NEED     ?= scripts/need
GO       ?= go
FUZZTIME ?= 10m
TESTARGS ?=

# What building and testing take beyond Go and make. The race detector needs a C compiler.
BUILD_NEEDS = ca-certificates
# The browser that the status page is tested in.
BROWSER     = chromium-headless-shell
TEST_NEEDS  = $(BUILD_NEEDS) gcc libc6-dev curl python3-django gunicorn php-fpm uwsgi-core uwsgi-plugin-python3 postgresql redis-server $(BROWSER)

.DEFAULT_GOAL := help
.PHONY: help build demo test vet plain unit e2e browser screenshots lint fmt vulncheck fuzz soak soak-short kills upgrades bench bench-balance bench-cache bench-peers bench-restart profile clean need-build need-test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: need-build ## build bin/weir
	$(GO) build -trimpath -o bin/weir ./cmd/weir

demo: build ## build weir and the photo site, run the site under weir on port 8080
	$(GO) build -trimpath -o bin/photos ./examples/photos
	@scripts/demo

# Packages with tests in which one goroutine does much: the race detector would find nothing, and take twenty times as
# long. The files say go:build !race. (What checks pointers into the store's memory is on as with the race detector.)
PLAIN = ./bench/hitratio ./internal/cache/store ./internal/config

test: vet plain need-test ## run every check and test: vet, all tests with the race detector, the real binary end to end
	$(GO) test -vet=off -race -timeout 20m $(TESTARGS) ./...

vet:
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

plain: need-build
	$(GO) test -vet=off -gcflags=-d=checkptr $(TESTARGS) $(PLAIN)

unit: plain need-test ## run all but the end-to-end tests
	$(GO) test -vet=off -race $(TESTARGS) $$($(GO) list ./... | grep -v /test/e2e)

e2e: need-test ## run the end-to-end tests only: the real binary, real workers
	$(GO) test -vet=off -race -count=1 -timeout 20m $(TESTARGS) ./test/e2e/...

browser: need-build ## test the status page in a browser; its pictures are in bin/browser
	@$(NEED) gcc libc6-dev $(BROWSER)
	$(GO) test -vet=off -race -count=1 $(TESTARGS) ./test/browser/...

screenshots: build ## run the photo site under load for six minutes, take the pictures of the README (docs/screenshots)
	@$(NEED) $(BROWSER)
	$(GO) build -trimpath -o bin/photos ./examples/photos
	$(GO) run ./test/browser/screenshots

lint: need-build ## gofmt, vet and staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C tools build -o ../bin/ honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

vulncheck: need-build ## look the dependencies up in Go's vulnerability database (needs the internet)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

fuzz: need-build ## run each fuzz target for FUZZTIME (default 10m)
	scripts/fuzz $(FUZZTIME)

soak: build ## break everything under load for ten minutes, write the tables of docs/reliability.md (some 20 minutes with HAProxy)
	@$(NEED) $(TEST_NEEDS) haproxy
	$(GO) run ./test/soak -weir bin/weir -for 10m -out docs/reliability.md

soak-short: build ## the same in two minutes, without HAProxy, and without writing anything
	@$(NEED) $(TEST_NEEDS)
	$(GO) run ./test/soak -weir bin/weir -for 2m -haproxy=false

kills: need-test ## kill a process that writes the cache's disk 5,000 times, and look at what it leaves
	WEIR_KILLS=5000 $(GO) test -race -count=1 -timeout 60m -run '^TestKilled$$' ./internal/cache/segment

upgrades: need-test ## 1,000 upgrades and reloads of weir under a light load: nothing is lost, nothing is left
	WEIR_UPGRADES=1000 $(GO) test -count=1 -v -timeout 60m -run '^TestUpgradesLeakNothing$$' ./test/e2e

bench-restart: build ## measure how fast the cache's disk is there after a start: 10 GiB in /var/tmp, some minutes
	mkdir -p /var/tmp/weir-restart
	$(GO) run ./bench/restart -dir /var/tmp/weir-restart
	$(GO) run ./bench/restart -dir /var/tmp/weir-restart -objects 1048576 -size 10240 -weir bin/weir
	rm -rf /var/tmp/weir-restart

bench: ## run the Go benchmarks
	$(GO) test -run='^$$' -bench=. -benchmem ./internal/...

profile: ## make the profile that the compiler optimises bin/weir by (cmd/weir/default.pgo) anew
	$(GO) test -run='^$$' -bench='Proxied|Hit' -benchtime=800000x -cpuprofile=cmd/weir/default.pgo -o bin/edge.test ./internal/edge

bench-cache: build ## measure the cache by itself (minutes), write its section of docs/benchmarks.md
	$(GO) run ./bench/hitratio -out bin/hitratio.md
	$(GO) run ./bench/cache -out docs/benchmarks.md -hitratio bin/hitratio.md

bench-balance: build ## measure least connections at workers of uneven speed beside HAProxy (6 minutes)
	@$(NEED) haproxy
	$(GO) run ./bench/uneven -weir bin/weir -turns 4

bench-peers: build ## measure weir beside nginx, HAProxy and Varnish, write docs/benchmarks.md
	@$(NEED) nginx-light haproxy varnish wrk
	$(GO) build -o bin/ ./bench/floor
	$(GO) run ./bench/peers -out docs/benchmarks.md

clean: ## remove what was built
	rm -rf bin .run

need-build:
	@$(NEED) $(BUILD_NEEDS)

need-test:
	@$(NEED) $(TEST_NEEDS)
