"""The command oes-jax."""

from oes_jax.command._program import main
