"""Many images at once: one mesh axis over images, and what the processes of a job tell each other.

A batch is a tree whose every leaf has a leading axis over images. It is laid out over all devices
of all processes; each process holds, reads and writes the rows of its own devices.
"""

import contextlib
import json
from typing import Any, Callable, Sequence

import jax
from jax import shard_map
import jax.numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

AXIS = "image"


def image_mesh(devices: Sequence[Any] | None = None) -> Mesh:
  """Return a one-axis mesh over `devices`, by default all of them, in the order of the processes."""
  if devices is None:
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
  return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def over_images(f: Callable, mesh: Mesh, *, shared: int = 0, donate: Sequence[int] = ()) -> Callable:
  """Return jit(shard_map(vmap(f))): `f` of one image becomes a function of a batch.

  It equals jax.pmap(jax.vmap(f)), which is in maintenance mode and whose arrays Orbax refuses to
  save. No device waits for another: the compiled program holds no collective. A device that has a
  single image runs `f` as it stands, so that an image alone and one of many devices' share a program.

  Args:
    f: function of `shared` arguments that all images have in common, then of one image's trees.
    mesh: mesh of `image_mesh`; the batch is a multiple of its devices.
    shared: number of leading arguments without an image axis.
    donate: places of arguments whose memory the result may take.
  """
  def on_device(*args):
    common, batched = args[:shared], args[shared:]
    if jax.tree.leaves(batched)[0].shape[0] > 1:
      return jax.vmap(f, in_axes=(None,) * shared + (0,) * len(batched))(*args)
    alone = f(*common, *jax.tree.map(lambda x: x[0], batched))
    return jax.tree.map(lambda x: x[None], alone)

  def on_mesh(*args):
    specs = (PartitionSpec(),) * shared + (PartitionSpec(AXIS),) * (len(args) - shared)
    return shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(AXIS),
                     check_vma=False)(*args)
  return jax.jit(on_mesh, donate_argnums=tuple(donate))


def stack(trees: Sequence[Any]) -> Any:
  """Stack the trees of images into the tree of a batch, on the host."""
  return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def as_batch(tree: Any) -> Any:
  """Return the batch that holds one image alone, on the default device."""
  return jax.tree.map(lambda x: jnp.asarray(x)[None], tree)


def put(mesh: Mesh, tree: Any) -> Any:
  """Lay a batch over the mesh; `tree` holds this process's rows."""
  sharding = NamedSharding(mesh, PartitionSpec(AXIS))
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def shapes(mesh: Mesh, tree: Any) -> Any:
  """Return the shapes of a batch of arrays or of shapes, laid out over the mesh."""
  sharding = NamedSharding(mesh, PartitionSpec(AXIS))
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def rows(tree: Any) -> Any:
  """Return this process's rows of a batch as NumPy arrays; the inverse of `put`."""
  def collect(array):
    shards = {shard.index[0].start or 0: shard.data for shard in array.addressable_shards}
    return np.concatenate([np.asarray(shards[start]) for start in sorted(shards)])
  return jax.tree.map(collect, tree)


@contextlib.contextmanager
def together():
  """Turn what a collective raises where another process has ended into a ConnectionError.

  It is for any code that waits for other processes, Orbax's too, and that handles its own ValueErrors.
  """
  try:
    yield
  except (ValueError, jax.errors.JaxRuntimeError) as error:  # the first on a CPU
    if jax.process_count() == 1:
      raise
    raise ConnectionError(f"another process of the program has ended ({error}); start all of them "
                          "again, and they go on from the last checkpoint") from error


def _all_gather(array: np.ndarray) -> np.ndarray:
  with together():
    return np.asarray(multihost_utils.process_allgather(array))


def gather(value: Any) -> list[Any]:
  """Return the JSON value that every process passes, in their order; all must call it.

  Raises:
    ConnectionError: another process has ended.
  """
  if jax.process_count() == 1:
    return [value]
  data = np.frombuffer(json.dumps(value).encode(), np.uint8)
  sizes = np.ravel(_all_gather(np.int32(data.size)))
  padded = np.zeros(int(sizes.max()), np.uint8)
  padded[:data.size] = data
  everything = _all_gather(padded).reshape(len(sizes), -1)
  return [json.loads(bytes(line[:size])) for line, size in zip(everything, sizes)]
