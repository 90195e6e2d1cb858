"""The commands of oes-jax: the shipped config that each is, and its usual options."""

from typing import NamedTuple


class Option(NamedTuple):
  """An option that sets a key of a config.

  Attributes:
    key: dotted name of the key.
    metavar: name of the value in --help.
    is_tuple: whether the value is a tuple, which may be written as 1,2.
  """
  key: str
  metavar: str
  is_tuple: bool = False


_COMMON = {
    "--truth": Option("data.truth", "FILE"), "--steps": Option("weights.num_steps", "N"),
    "--sigma": Option("fit.sigma", "SIGMA"), "--range": Option("data.range", "LOW,HIGH", True),
    "--ensemble": Option("ensemble", "N"), "--seed": Option("seed", "N"),
    "--method": Option("method", "NAME"), "--budget-s": Option("budget_s", "SECONDS")}
_OF_IMAGES = {
    **_COMMON, "--noise": Option("noise.model", "MODEL"), "--crop": Option("data.crop", "TOP,LEFT,HEIGHT,WIDTH", True),
    "--max-side": Option("data.max_side", "PIXELS"), "--tile": Option("compute.tile", "PIXELS")}
# Flags of oes_jax.main, and the names of their values in --help; None where a flag has none.
FLAGS = {"workdir": "DIR", "shard": "I/N", "distributed": None, "summarise": None}


class Command(NamedTuple):
  """A command that restores.

  Attributes:
    file: name of the shipped config.
    examples: arguments of examples, each behind the command's name.
    options: usual options by their names.
  """
  file: str
  examples: tuple[str, ...]
  options: dict[str, Option]


COMMANDS = {
    "denoise": Command("denoise", (
        "my_frame.tif", "my_frame.tif --method auto --workdir runs/mine", "frames/*.png --workdir runs/frames",
        "my_frame.tif --noise poisson --config.noise.peak=200"), _OF_IMAGES),
    "inpaint": Command("inpaint", ("my_frame.png --mask measured.png", "frame.fits"), {
        "--mask": Option("operator.mask", "FILE"), "--kept": Option("operator.kept", "SHARE"), **_OF_IMAGES}),
    "deblur": Command("deblur", ("my_frame.png --kernel kernel.npy", "my_frame.png --kernel-sigma 2"), {
        "--kernel": Option("operator.kernel", "KERNEL"), "--kernel-sigma": Option("operator.kernel_sigma", "PIXELS"),
        "--motion-length": Option("operator.motion_length", "PIXELS"),
        "--motion-angle": Option("operator.motion_angle", "DEGREES"), **_OF_IMAGES}),
    "upscale": Command("super_resolution", ("my_frame.png --factor 2",), {
        "--factor": Option("operator.factor", "N"), "--downsampling": Option("operator.downsampling", "NAME"),
        **_OF_IMAGES}),
    "mri": Command("mri", ("scan.npz", "file1000.h5@12 --workdir runs/slice"), {
        "--coil-axis": Option("operator.coil_axis", "AXIS"), "--coils": Option("operator.coils", "N"),
        "--acceleration": Option("operator.acceleration", "FACTOR"), "--centre": Option("operator.centre", "SHARE"),
        **_COMMON}),
    "ct": Command("ct", ("sinogram.npz", "sinogram.npz --angle-unit radians"), {
        "--angles": Option("operator.angles", "N"), "--angle-unit": Option("operator.angle_unit", "UNIT"), **_COMMON}),
    "sweep": Command("sweep", (
        "my_frame.tif --seeds 0,1,2 --mask-sources learn,dense --workdir runs/sweep", "--workdir runs/sweep --summarise"), {
        "--seeds": Option("sweep.seeds", "N,N", True), "--sigmas": Option("sweep.sigmas", "SIGMA,SIGMA", True),
        "--mask-sources": Option("sweep.mask_sources", "NAME,NAME", True),
        "--keep-fractions": Option("sweep.keep_fractions", "SHARE,SHARE", True),
        "--kl-weights": Option("sweep.kl_weights", "WEIGHT,WEIGHT", True), **_OF_IMAGES}),
}
# Commands with a command line of their own, and the modules whose `main` it is.
OTHERS = {"inspect": "inspect", "bench": "bench.__main__"}
