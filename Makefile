.PHONY: help setup run up status test check chaos demo-failover protos bench bench-engine bench-stores bench-streams backup restore clean
help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /  make \1\t/p' Makefile | expand -t 24
setup: ## install everything to run, test and check it
	@scripts/setup dev
run: ## run the whole mesh on this machine; STORES=real on real stores, ARGS="--replicas edge=2" hands arguments on
	@scripts/run $(ARGS)
up: run
status: ## the processes of the mesh that runs, with address and health
	@scripts/status
test: ## run the tests; ARGS="tests/history -x" hands arguments on
	@scripts/test $(ARGS)
check: ## style, types, imports, contracts, requirements
	@scripts/check
chaos: ## break meshes in every way, and check the promises; ARGS="--seeds 5" or ARGS="--fault NAME --seed N"
	@scripts/chaos $(ARGS)
demo-failover: ## watch an answer survive the deaths of those who bring it; ARGS=--fake does it without a model
	@scripts/demo-failover $(ARGS)
protos: ## generate gen/ from protos/
	@scripts/setup dev && scripts/protos
bench: ## measure the mesh and the engine
	@scripts/bench
bench-engine: ## measure the engine beside llama.cpp and transformers; ARGS="--quick" hands arguments on
	@scripts/bench-engine $(ARGS)
bench-stores: ## measure the stores on real servers
	@scripts/bench-stores
bench-streams: ## measure streaming at scale beside plain SSE and WebSocket servers; ARGS="--quick" hands arguments on
	@scripts/bench-streams $(ARGS)
backup: ## write what the mesh remembers into a folder: TO=FOLDER
	@scripts/backup "$(TO)"
restore: ## read it back, into stores of any kind: FROM=FOLDER
	@scripts/restore "$(FROM)"
clean: ## remove everything that can be made again
	@scripts/clean
