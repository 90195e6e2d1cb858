"""The authors' masks are read and placed right, and hostile files run nothing."""

import json
import os
import pickle
import resource
import struct

import jax
import numpy as np
import pytest

from oes_jax.files import _authors_masks as authors_masks
from oes_jax import generators
from oes_jax import masks

# A pickle assembled by hand in the authors' format: opcodes of protocols 2 and 3.


def text(value, memo):
  encoded = value.encode()
  return b"X" + struct.pack("<I", len(encoded)) + encoded + b"q" + bytes([memo])


def number(value):
  return b"J" + struct.pack("<i", value)


MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
SYSTEM = (b"\x80\x02}q\x00(" + text("protocol_version", 1) + b"M\xe9\x03" + text("little_endian", 2)
          + b"\x88" + text("type_sizes", 3) + b"}q\x04(" + text("short", 5) + b"K\x02"
          + text("int", 6) + b"K\x04" + text("long", 7) + b"K\x04uu.")


def storage_stream(values, *, count=None, kind=b"BoolStorage", key="1663465952", device="cpu",
                   system=SYSTEM, num_keys=1):
  """The legacy stream that stands inside the tensor's pickle."""
  declared = len(values) if count is None else count
  persistent = (b"\x80\x02(" + text("storage", 0) + b"ctorch\n" + kind + b"\nq\x01" + text(key, 2)
                + text(device, 3) + number(declared) + b"Ntq\x04Q.")
  keys = b"\x80\x02]q\x00" + (text(key, 1) + b"a") * num_keys + b"."
  return (MAGIC + PROTOCOL + system + persistent + keys + struct.pack("<q", declared)
          + bytes(values))


def tensor_pickle(stream, *, offset=b"K\x00", size, stride=b"K\x01\x85"):
  storage = (b"ctorch.storage\n_load_from_bytes\nq\x01B" + struct.pack("<I", len(stream)) + stream
             + b"q\x02\x85q\x03Rq\x04")
  hooks = b"ccollections\nOrderedDict\nq\x07)Rq\x08"
  return (b"\x80\x03ctorch._utils\n_rebuild_tensor_v2\nq\x00(" + storage + offset + size + b"q\x05"
          + stride + b"q\x06\x89" + hooks + b"tq\x09Rq\n.")


def mask_pickle(values, **options):
  """The bytes that torch 1 wrote for a flat bool tensor."""
  return tensor_pickle(storage_stream(values, **options), size=number(len(values)) + b"\x85")


VALUES = [1, 0, 1, 1, 0, 0, 1]


def write(folder, data):
  path = folder / "mask.pkl"
  path.write_bytes(data)
  return str(path)


@pytest.mark.parametrize("values", [VALUES, [0], [1] * 300])
def test_hand_made_mask_round_trips(tmp_path, values):
  flat = authors_masks.read_flat_mask(write(tmp_path, mask_pickle(values)))
  assert flat.dtype == bool and flat.shape == (len(values),)
  np.testing.assert_array_equal(flat, np.asarray(values, bool))


def test_view_into_a_storage_is_read_from_its_offset(tmp_path):
  data = tensor_pickle(storage_stream(VALUES), offset=b"K\x02", size=b"K\x03\x85")
  np.testing.assert_array_equal(authors_masks.read_flat_mask(write(tmp_path, data)), [True, True, False])


def test_missing_file_raises_os_error(tmp_path):
  with pytest.raises(OSError):
    authors_masks.read_flat_mask(str(tmp_path / "none.pkl"))


# Hostile files. WITNESS stands for a file that their code would make.

WITNESS = "WITNESS"
COMMAND = f"touch {WITNESS}"
PYTHON = f"open('{WITNESS}', 'w').close()"


def call(module, name, argument):
  """Opcodes that call module.name(argument)."""
  return f"c{module}\n{name}\n".encode() + b"(" + text(argument, 0) + b"tR"


def float_mask():
  values = struct.pack("<3f", 0, 1, 0)
  stream = storage_stream(values, kind=b"FloatStorage")
  return tensor_pickle(stream, size=number(3) + b"\x85")


HOSTILE = {
    "os.system": b"\x80\x02" + call("os", "system", COMMAND) + b".",
    "posix.system": b"\x80\x02" + call("posix", "system", COMMAND) + b".",
    "builtins.eval": b"\x80\x02" + call("builtins", "eval", PYTHON) + b".",
    "builtins.exec": b"\x80\x02" + call("builtins", "exec", PYTHON) + b".",
    "python 2 names": b"\x80\x02" + call("__builtin__", "eval", PYTHON) + b".",
    "stack global": b"\x80\x04" + text("os", 1) + text("system", 2) + b"\x93(" + text(COMMAND, 0)
                    + b"tR.",
    "inst opcode": f"(V{COMMAND}\nios\nsystem\n.".encode(),
    "obj opcode": b"(cos\nsystem\n" + text(COMMAND, 0) + b"o.",
    "newobj opcode": b"\x80\x02csubprocess\nPopen\n(" + text(COMMAND, 0) + b"t\x81.",
    "before a good mask": b"\x80\x02" + call("os", "system", COMMAND) + b"0" + mask_pickle(VALUES),
    "inside the storage": mask_pickle(
        VALUES, system=b"\x80\x02" + call("os", "system", COMMAND) + b"."),
    "eval inside the storage": mask_pickle(
        VALUES, system=b"\x80\x02" + call("builtins", "eval", PYTHON) + b"."),
    "as the storage": tensor_pickle(
        b"\x80\x02" + call("os", "system", COMMAND) + b".", size=b"K\x07\x85"),
    "reached through an attribute": b"\x80\x04" + text("torch._utils", 1)
                                    + text("_rebuild_tensor_v2.__globals__", 2) + b"\x93.",
    "outer persistent id": b"\x80\x02" + text("x", 0) + b"Q.",
    "extension code": b"\x80\x02\x82\x01.",
    "float storage": float_mask(),
    "storage without a type": tensor_pickle(
        storage_stream(VALUES).replace(b"ctorch\nBoolStorage\n", b"N"), size=b"K\x07\x85"),
    "two dimensions": tensor_pickle(storage_stream(VALUES[:6]), size=b"K\x02K\x03\x86",
                                    stride=b"K\x03K\x01\x86"),
    "no dimension": tensor_pickle(storage_stream(VALUES), size=b")", stride=b")"),
    "strided": tensor_pickle(storage_stream(VALUES), size=b"K\x03\x85", stride=b"K\x02\x85"),
    "size beyond the storage": tensor_pickle(storage_stream(VALUES), size=b"K\x08\x85"),
    "offset beyond the storage": tensor_pickle(
        storage_stream(VALUES), offset=b"K\x01", size=b"K\x07\x85"),
    "negative offset": tensor_pickle(
        storage_stream(VALUES), offset=number(-1), size=b"K\x03\x85"),
    "negative size": tensor_pickle(storage_stream(VALUES), size=number(-1) + b"\x85"),
    "bytes other than 0 and 1": mask_pickle([0, 1, 2]),
    "count too large": mask_pickle(VALUES, count=8),
    "count too small": mask_pickle(VALUES, count=6),
    "negative count": mask_pickle(VALUES, count=-7),
    "two storages": mask_pickle(VALUES, num_keys=2),
    "only a storage": storage_stream(VALUES),
    "a list": pickle.dumps(VALUES),
    "a dict": pickle.dumps({"mask": VALUES}),
    "an array": pickle.dumps(np.ones(3, bool)),
    "json": json.dumps(VALUES).encode(),
    "a key nested with itself": b"\x80\x02}K\x01K\x01\x86" + b"2\x86" * 60 + b"K\x01s.",  # hashed 2 ** 60 times
    "a frozen set of itself": b"\x80\x04}(K\x01\x91" + b"2(h\x00\x91" * 60 + b"K\x01s.",
    "a key fetched from the memo": b"\x80\x02}q\x00K\x01\x85q\x01h\x01\x86K\x01s.",
    "a deep key": b"\x80\x02}(K\x01" + b"\x85" * 300_000 + b"K\x01u.",  # hashed by as many calls in C
    "a deep key inside the storage": mask_pickle(VALUES, system=b"\x80\x02}(K\x01" + b"\x85" * 300_000 + b"K\x01u."),
    "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a memo of all memory": b"\x80\x02Nr\xff\xff\xff\xff.",
    "zeros": bytes(100),
    "empty": b"",
}


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
  """Run in a folder of its own, where the witness would appear."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


def test_witness_appears_when_a_hostile_pickle_is_loaded(in_tmp):
  for name in ("os.system", "builtins.eval", "stack global", "inst opcode", "obj opcode"):
    pickle.loads(HOSTILE[name])
    (in_tmp / WITNESS).unlink()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_and_runs_nothing(in_tmp, name):
  path = write(in_tmp, HOSTILE[name])
  with pytest.raises(authors_masks.UnsafeMaskFile):
    authors_masks.read_flat_mask(path)
  assert os.listdir(in_tmp) == ["mask.pkl"]


@pytest.fixture
def little_memory():
  """Let this process have 1 GiB more address space than it has now."""
  if not os.path.exists("/proc/self/statm"):
    pytest.skip("needs /proc to read the address space in use")
  with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  resource.setrlimit(resource.RLIMIT_AS, (used + 2 ** 30, hard))
  yield
  resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_truncated_file_is_refused(in_tmp, little_memory):
  data = mask_pickle(VALUES)
  for stop in range(len(data)):
    with pytest.raises(authors_masks.UnsafeMaskFile):
      authors_masks.read_flat_mask(write(in_tmp, data[:stop]))


def test_random_bytes_are_refused(in_tmp, little_memory):
  rng = np.random.default_rng(0)
  for _ in range(300):
    data = rng.integers(0, 256, rng.integers(1, 80), dtype=np.uint8).tobytes()
    with pytest.raises(authors_masks.UnsafeMaskFile):
      authors_masks.read_flat_mask(write(in_tmp, data))


def test_memo_index_that_would_take_all_memory_is_refused(in_tmp, little_memory):
  # LONG_BINPUT: the C unpickler keeps its memo as an array of this length, here 64 GiB.
  path = write(in_tmp, b"\x80\x02Nr\xff\xff\xff\xff.")
  with pytest.raises(authors_masks.UnsafeMaskFile):
    authors_masks.read_flat_mask(path)


def test_refusal_names_the_file_and_the_reason(in_tmp):
  path = write(in_tmp, HOSTILE["os.system"])
  with pytest.raises(authors_masks.UnsafeMaskFile, match=r"mask\.path=.*mask\.pkl' is not a mask.*asks for os\.system"):
    authors_masks.read_flat_mask(path)


# Placing a flat mask on a params tree.


def test_layers_follow_the_graph_and_kernels_are_transposed():
  graph = (generators.Layer(("z",), "norm", (), False), generators.Layer(("block", "b"), "conv", (0,), True),
           generators.Layer(("block", "a"), "conv", (1,), True))
  params = {
      "z": {"offset": np.zeros(2), "scale": np.zeros(2)},
      "block": {"a": {"kernel": np.zeros((1, 1, 2, 1))},
                "b": {"bias": np.zeros(2), "kernel": np.zeros((2, 2, 2, 2))}},
  }
  # Flat: scale 0-1, offset 2-3, kernel b 4-19 as [out, in, h, w], bias 20-21, kernel a 22-23.
  placed = authors_masks.place_flat_mask(np.arange(24), graph, params)
  assert jax.tree.structure(placed) == jax.tree.structure(params)
  np.testing.assert_array_equal(placed["z"]["scale"], [0, 1])
  np.testing.assert_array_equal(placed["z"]["offset"], [2, 3])
  np.testing.assert_array_equal(
      placed["block"]["b"]["kernel"],
      [[[[4, 12], [8, 16]], [[5, 13], [9, 17]]], [[[6, 14], [10, 18]], [[7, 15], [11, 19]]]])
  np.testing.assert_array_equal(placed["block"]["b"]["bias"], [20, 21])
  np.testing.assert_array_equal(placed["block"]["a"]["kernel"], [[[[22], [23]]]])


HOURGLASSES = ["hourglass", "skip_hourglass"]


def small_hourglass(name="hourglass"):
  generator = generators.make_generator(name, image_shape=(16, 16, 1), num_scales=2, channels=(2, 3))
  return generator, jax.eval_shape(generator.init, jax.random.key(0))[0]


@pytest.mark.parametrize("name", HOURGLASSES)
def test_hourglass_order_is_that_of_pytorch_registration(name):
  generator, params = small_hourglass(name)
  flat = np.arange(masks.count_weights(params))
  placed = authors_masks.place_flat_mask(flat, generator.graph, params)
  first = {"/".join(key.key for key in path): leaf.min()
           for path, leaf in jax.tree_util.tree_leaves_with_path(placed)}
  block = lambda scale, parts: [f"{scale}/{part}" for part in parts.split()]
  # Concat(1, skip, deeper) registers its branches in this order, and the deeper one ends in the next scale.
  skip = lambda scale: block(scale, "conv/kernel conv/bias norm/scale norm/offset" if name == "skip_hourglass" else "")
  encoder = ("conv_a/kernel conv_a/bias norm_a/scale norm_a/offset "
             "conv_b/kernel conv_b/bias norm_b/scale norm_b/offset")
  decoder = "norm_in/scale norm_in/offset conv/kernel conv/bias norm_out/scale norm_out/offset"
  assert sorted(first, key=first.get) == (
      skip("skip_01") + block("encoder_01", encoder) + skip("skip_02") + block("encoder_02", encoder)
      + block("decoder_02", decoder) + block("decoder_01", decoder) + block("head", "kernel bias"))
  everything = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(placed)])
  np.testing.assert_array_equal(np.sort(everything), flat)


@pytest.mark.parametrize("name", HOURGLASSES)
def test_placed_mask_has_the_shapes_and_types_of_the_params_and_every_entry(name):
  generator, params = small_hourglass(name)
  flat = np.random.default_rng(0).random(masks.count_weights(params)) < 0.3
  placed = authors_masks.place_flat_mask(flat, generator.graph, params)
  back = []  # as PyTorch flattens it
  for layer in generator.graph:
    arrays = masks.arrays_of(placed, layer)
    back += [arrays["kernel"].transpose(3, 2, 0, 1), arrays["bias"]] if layer.kind == "conv" else [
        arrays["scale"], arrays["offset"]]
  np.testing.assert_array_equal(np.concatenate([array.ravel() for array in back]), flat)
  assert jax.tree.structure(placed) == jax.tree.structure(params)
  for mask, leaf in zip(jax.tree.leaves(placed), jax.tree.leaves(params)):
    assert mask.shape == leaf.shape and mask.dtype == leaf.dtype == np.float32
  assert sum(leaf.sum() for leaf in jax.tree.leaves(placed)) == flat.sum()


@pytest.mark.parametrize("excess", [-1, 1])
def test_mask_of_another_length_raises(excess):
  generator, params = small_hourglass()
  size = masks.count_weights(params)
  with pytest.raises(ValueError, match=rf"mask\.path.*{size + excess} entries.*{size} weights"):
    authors_masks.place_flat_mask(np.zeros(size + excess, bool), generator.graph, params)


# The published files.

PUBLISHED = ["lena", "pepper"]


def read_published(reference_data, name):
  return authors_masks.read_flat_mask(str(reference_data / f"official_mask_{name}.pkl"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_mask_is_five_percent(reference_data, name):
  flat = read_published(reference_data, name)
  assert flat.dtype == bool and flat.shape == (3_008_867,) and flat.sum() == 150_443


@pytest.mark.parametrize("name, key, device", [
    ("lena", "1663465952", "cuda:5"), ("pepper", "649505856", "cuda:0")])
def test_hand_made_pickle_is_the_published_file(reference_data, name, key, device):
  data = (reference_data / f"official_mask_{name}.pkl").read_bytes()
  values = read_published(reference_data, name).astype(np.uint8)
  same = mask_pickle(values.tobytes(), key=key, device=device) == data
  assert same  # not compared in the assert: a report of the difference would take minutes


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_densities_are_those_of_the_layers(reference_data, name):
  generator = generators.make_generator("hourglass", image_shape=(512, 512, 3), num_scales=6)
  params = jax.eval_shape(generator.init, jax.random.key(0))[0]
  mask = authors_masks.place_flat_mask(read_published(reference_data, name), generator.graph, params)
  arrays = [(path[0].key, path[-1].key, leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(mask)]
  def kept_of(condition):
    leaves = [leaf for *names, leaf in arrays if condition(*names)]
    return int(sum(leaf.sum() for leaf in leaves)), sum(leaf.size for leaf in leaves)
  def percent(condition):
    kept, size = kept_of(condition)
    return round(100 * kept / size)
  # The ranges over four published masks.
  assert 2 <= percent(lambda block, kind: block.startswith("encoder")) <= 3
  assert 13 <= percent(lambda block, kind: block.startswith("decoder")) <= 18
  assert 54 <= percent(lambda block, kind: block == "head") <= 65
  assert 55 <= percent(lambda block, kind: kind == "scale") <= 65
  assert kept_of(lambda block, kind: kind == "offset") == (0, 2_096)
  kept, size = kept_of(lambda block, kind: kind == "bias")
  assert kept in (1, 2) and size == 1_491
