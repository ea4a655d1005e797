.PHONY: help setup run status test check protos bench clean
help: ## this list
	@sed -n 's/^\([a-z]*\): ## /  make \1\t/p' Makefile | expand -t 16
setup: ## install everything to run, test and check it
	@scripts/setup dev
run: ## run the whole mesh on this machine; ARGS="--replicas edge=2" hands arguments on
	@scripts/run $(ARGS)
status: ## the processes of the mesh that runs, with address and health
	@scripts/status
test: ## run the tests; ARGS="tests/history -x" hands arguments on
	@scripts/test $(ARGS)
check: ## style, types, imports, contracts, requirements
	@scripts/check
protos: ## generate gen/ from protos/
	@scripts/setup dev && scripts/protos
bench: ## measure the mesh and the engine
	@scripts/bench
clean: ## remove everything that can be made again
	@scripts/clean
