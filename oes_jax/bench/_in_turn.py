"""Measurements that are prepared at once, in processes of their own, and made one after another."""

import multiprocessing
import queue
import threading
from typing import Any, Callable, Iterable, Iterator, Sequence

Row = dict[str, Any]


def _work(prepare, measure, place, small: bool, ready, turn, rows) -> None:
  """Prepare in this process, wait until all others have, and measure when it is this one's turn."""
  prepared = prepare(place, small)
  try:
    ready.wait()
  except threading.BrokenBarrierError:
    pass  # another has failed: it uses the device no more
  with turn:
    for row in measure(place, prepared, small):
      rows.put(row)


def measure_in_turn(prepare: Callable[[Any, bool], Any], measure: Callable[[Any, Any, bool], Iterable[Row]], places: Sequence[Any],
                    small: bool) -> Iterator[Row]:
  """Yield the rows of several measurements, as they come.

  Tracing and compiling occupy one core of a machine that has many; so every measurement does both in a process of its own. Nothing
  is measured while another still prepares.

  Args:
    prepare: (place, small) to what is measured; a function of a module.
    measure: (place, what was prepared, small) to rows; a function of a module.
    places: what to measure, one each.
    small: handed on.
  """
  context = multiprocessing.get_context("spawn")
  ready, turn, rows = context.Barrier(len(places)), context.Lock(), context.Queue()
  workers = [context.Process(target=_work, args=(prepare, measure, place, small, ready, turn, rows), daemon=True) for place in places]
  for worker in workers:
    worker.start()
  while (alive := any(worker.is_alive() for worker in workers)) or not rows.empty():
    try:
      yield rows.get(timeout=0.5 if alive else 0.1)
    except queue.Empty:
      if any(worker.exitcode for worker in workers):
        ready.abort()  # the others need not wait for it
  for place, worker in zip(places, workers):
    if worker.exitcode:
      yield {"place": str(place), "error": f"its process ended with {worker.exitcode}"}
