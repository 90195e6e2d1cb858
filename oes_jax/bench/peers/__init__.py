"""What ours is compared with, one kind of peer a module: `from oes_jax.bench.peers import denoisers`."""
