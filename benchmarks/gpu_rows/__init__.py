"""The parts of `benchmarks/gpu.py`: which rows there are, how each is measured, and the table of them."""
