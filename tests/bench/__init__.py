"""The benchmarks: what syncing costs, beside the usual design and beside the bare limit (`make bench`)."""
