"""Files of measured arrays for tests, laid out as fastMRI, MATLAB and ISMRMRD lay them out."""

import h5py
import numpy as np
from scipy import io as scipy_io

HEIGHT, WIDTH, COILS, SLICES = 16, 20, 3, 2


def kspace(seed=0):
  """Return random k-space [slices, coils, H, W], complex64."""
  rng = np.random.default_rng(seed)
  shape = (SLICES, COILS, HEIGHT, WIDTH)
  return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def hdf5(path, **arrays):
  """Write arrays to the root of an HDF5 file; return its path as text."""
  with h5py.File(path, "w") as file:
    for name, array in arrays.items():
      file.create_dataset(name, data=array)
  return str(path)


def fastmri(path, one_coil=False):
  """Write a file as fastMRI's multi-coil test sets are, or its single-coil ones; return its path."""
  space = kspace()[:, 0] if one_coil else kspace()
  truth = "reconstruction_esc" if one_coil else "reconstruction_rss"
  return hdf5(path, kspace=space, mask=np.arange(WIDTH) % 2 == 0, ismrmrd_header=b"<ismrmrdHeader/>",
              **{truth: np.ones((SLICES, HEIGHT, HEIGHT), np.float32)})


def mat_5(path, **arrays):
  """Write a MAT file of version 5; return its path."""
  scipy_io.savemat(path, arrays, do_compression=True)
  return str(path)


def mat_7_3(path, **arrays):
  """Write a MAT file of version 7.3 as MATLAB does: reversed axes, complex numbers as pairs, a text before all; return its path."""
  with h5py.File(path, "w", userblock_size=512) as file:
    for name, array in arrays.items():
      stored = np.asarray(array).T
      if stored.dtype.kind == "c":
        pairs = np.empty(stored.shape, [("real", stored.real.dtype), ("imag", stored.real.dtype)])
        pairs["real"], pairs["imag"] = stored.real, stored.imag
        stored = pairs
      file.create_dataset(name, data=stored, compression="gzip").attrs["MATLAB_class"] = np.bytes_("single")
  with open(path, "r+b") as file:
    file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
  return str(path)


_COUNTERS = np.dtype([(name, "<u2") for name in (
    "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition", "set", "segment")]
                     + [("user", "<u2", (8,))])
_HEAD = np.dtype([
    ("version", "<u2"), ("flags", "<u8"), ("number_of_samples", "<u2"), ("active_channels", "<u2"), ("discard_pre", "<u2"),
    ("discard_post", "<u2"), ("center_sample", "<u2"), ("encoding_space_ref", "<u2"), ("trajectory_dimensions", "<u2"),
    ("idx", _COUNTERS)])
_FLOATS = h5py.vlen_dtype(np.dtype("float32"))
_XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
<encodedSpace><matrixSize><x>{width}</x><y>{height}</y><z>1</z></matrixSize></encodedSpace>
<reconSpace><matrixSize><x>{recon}</x><y>{height}</y><z>1</z></matrixSize></reconSpace>
<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{height}</maximum><center>{centre}</center>
</kspace_encoding_step_1></encodingLimits>
<trajectory>{trajectory}</trajectory></encoding></ismrmrdHeader>"""


def ismrmrd(path, lines, *, width=WIDTH, recon=WIDTH, trajectory="cartesian"):
  """Write raw data in the ISMRMRD format.

  Args:
    path: path of the file.
    lines: (values [coils, samples], {field of the header or counter: value}) of every acquisition.
    width: samples along the readout.
    recon: pixels along it.
    trajectory: name of the trajectory.

  Returns:
    The path as text.
  """
  table = np.zeros(len(lines), [("head", _HEAD), ("traj", _FLOATS), ("data", _FLOATS)])
  for row, (values, fields) in zip(table, lines):
    head = row["head"]
    head["active_channels"], head["number_of_samples"] = values.shape
    head["center_sample"] = width // 2
    for name, value in fields.items():
      (head["idx"] if name in _COUNTERS.names else head)[name] = value
    row["traj"] = np.zeros(0, np.float32)
    row["data"] = np.ascontiguousarray(values, np.complex64).view(np.float32).ravel()
  text = _XML.format(width=width, recon=recon, height=HEIGHT, centre=HEIGHT // 2, trajectory=trajectory)
  with h5py.File(path, "w") as file:
    group = file.create_group("dataset")
    group.create_dataset("data", data=table, chunks=(1,))
    group.create_dataset("xml", data=np.array([text.encode()], object), dtype=h5py.string_dtype("ascii"))
  return str(path)
