"""What XLA compiles of the steps for TPUs that are not there: collectives, work, traffic and memory of a device."""

import importlib.metadata
import json
import os
import re
import time
from typing import Any, Iterator, Sequence

from jax.experimental import topologies

from oes_jax import files
from oes_jax import fitting
from oes_jax import parallel
from oes_jax.bench import _device
from oes_jax.bench import _flags
from oes_jax.bench import _records
from oes_jax.bench import _timed_steps

STAGES = ("recorrupted", "mask", "dense", "compacted")
_COLLECTIVE = re.compile(r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter")


def collectives_in(text: str) -> int:
  """Return how many times the text of a compiled program names an operation for which devices wait for each other."""
  return len(_COLLECTIVE.findall(text))


def describe_steps(mesh, stages: Sequence[str], *, size: int, convs: Sequence[str], counts: Sequence[int],
                   **options: Any) -> Iterator[dict[str, Any]]:
  """Yield a row for every stage, form of convolution and number of images on each device of a mesh.

  Args:
    mesh: mesh of `parallel.image_mesh`, of devices that need not be there.
    stages: kinds of steps, as `_timed_steps.make_stage` takes them.
    size: side of the images, pixels.
    convs: forms of the convolutions.
    counts: numbers of images on each device.
    **options: more options of `_timed_steps.make_stage`.
  """
  for kind in stages:
    for conv in convs:
      for count in counts:
        began = time.perf_counter()
        lowered = _timed_steps.lower_steps(kind, size, mesh, count=count, conv=conv, **options)
        compiled = lowered.compile()
        cost = fitting.cost_of(lowered, compiled)
        yield {"stage": kind, "conv": conv, "images on a device": count, "devices": mesh.size,
               "collectives": collectives_in(compiled.as_text()), "gflop a step": cost.flops / 1e9,
               "gigabytes moved a step": cost.moved_bytes / 1e9, "gigabytes held": cost.peak_bytes / 1e9,
               "seconds to compile": time.perf_counter() - began}


def _mesh_of(topology: str):
  """Return the mesh of a TPU slice, such as v5e:2x4.

  Raises:
    ValueError: libtpu is not installed, or knows no such slice.
  """
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # nobody is to be asked which TPU this machine is
  try:
    return parallel.image_mesh(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)
  except (RuntimeError, ValueError) as error:
    raise ValueError(f"--topology={topology!r} is not to be had: {error}. It needs `pip install libtpu`; allowed: the name of a "
                     "slice, such as v5e:2x4 or v5e:16x16.") from error


def run_pod(arguments) -> None:
  """Compile every stage; write the record after each, and print the table."""
  mesh, rows = _mesh_of(arguments.topology), []
  for row in describe_steps(mesh, arguments.stages, size=arguments.size, convs=arguments.convs, counts=arguments.images):
    rows.append(row)
    print(json.dumps(row), flush=True)
    table = _device.tabulate({"rows": rows})
    _records.write_benchmark(arguments.output, {
        "device": f"{mesh.devices.flat[0].device_kind}, compiled for and not run on", "topology": arguments.topology,
        "libtpu": importlib.metadata.version("libtpu"), "size": arguments.size, "rows": rows,
        "table": files.format_markdown(table)})
  print(files.format_table(table))


def add_command(commands) -> None:
  """Add the command `pod` and its flags."""
  parser = _flags.add_parser(commands, "pod", run_pod, "compile the steps for TPUs that are not there (needs libtpu)")
  parser.add_argument("--topology", default="v5e:2x4", metavar="NAME", help="slice of TPUs (default v5e:2x4)")
  parser.add_argument("--size", type=_flags.positive, default=256, help="side of the images (default 256)")
  parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES[:3], help="kinds of steps")
  parser.add_argument("--convs", nargs="+", choices=("gemm", "lax"), default=("gemm",), help="forms of the convolutions")
  parser.add_argument("--images", nargs="+", type=_flags.positive, default=(1,), metavar="N", help="images on each device")
  parser.add_argument("--output", default="runs/bench_pod.json", help="JSON record")
