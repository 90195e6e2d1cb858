"""python -m oes_jax is the command oes-jax."""

from oes_jax import command

if __name__ == "__main__":
  command.main()
