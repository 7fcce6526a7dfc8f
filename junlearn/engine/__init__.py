"""What runs methods: the loop, the compiled step, batches, checkpoints, several devices and processes."""
