"""Memory that is free for what is read and computed."""

import pathlib

import psutil

_CONTROL_GROUP = pathlib.Path("/sys/fs/cgroup")


def free_memory() -> int:
  """Return how many bytes the machine or the container still has; a container's cached files count as free."""
  free = psutil.virtual_memory().available
  limit = _CONTROL_GROUP / "memory.max"
  if limit.is_file() and (value := limit.read_text().strip()) != "max":
    counts = dict(line.split() for line in (_CONTROL_GROUP / "memory.stat").read_text().splitlines())
    used = int((_CONTROL_GROUP / "memory.current").read_text())
    free = min(free, int(value) - used + int(counts["active_file"]) + int(counts["inactive_file"]))
  return free


def check_size(num_bytes: int) -> None:
  """Refuse what a header declares and the memory cannot hold, before it is decoded.

  Args:
    num_bytes: number of bytes of the decoded values, 0 or more.

  Raises:
    ValueError: it is more than the free memory.
  """
  free = free_memory()
  if num_bytes > free:
    raise ValueError(f"it says that it holds {num_bytes} bytes; allowed: at most the {free} that are free")
