"""The three vendors as local HTTP servers, with faults on demand. Imported by the demo, tests and benchmarks only."""
