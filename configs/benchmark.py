"""The comparison of methods, `python -m oes_jax.bench compare`, and the analyses that go with it.

  python -m oes_jax.bench compare --config=configs/benchmark.py:quick

Presets: `:answer` (3 images of 64 x 64 pixels, 3 seeds), `:small` (1 image, 1 seed), `:quick` (3 images, 1 seed,
1,000 weight steps in place of 1,500), `:tuned` (quick, whose runs it takes over, and a second table with the learning
rate tuned per method), `:full` (512 x 512, the published schedule; for a GPU). Of `inverse` alone: `:default` (the default
against classical methods, no other network), `:mask` (with a learned mask), `:ensemble` (four of the default) and
`:operators` (`:oes` and the dense net). Of `expected`: `:expected`; of `auto`: `:auto`. Inverse problems have images of their
own, 64 to 128 pixels wide, and three seeds in every preset.
"""

from ml_collections import config_dict

from oes_jax import runs

PRESETS = ("quick", "answer", "small", "tuned", "full", "default", "mask", "ensemble", "operators", "expected", "auto")
# (top, left, height, width) of bundled images that no default of this project was chosen on: a photograph, a
# microscope's field and a fundus photograph. 64 pixels make thousands of steps affordable.
CROPS = (("rocket", (100, 280, 64, 64)), ("immunohistochemistry", (200, 200, 64, 64)),
         ("retina", (600, 600, 64, 64)))
TUNING_CROPS = (("chelsea", (90, 130, 64, 64)),)
TRANSFER_CROPS = (("astronaut", (60, 190, 64, 64)), ("hubble_deep_field", (300, 300, 64, 64)))
TRANSFER_CORRUPTIONS = (
    ("noise 0.05", (("noise.sigma", 0.05),)), ("noise 0.2", (("noise.sigma", 0.2),)),
    ("salt and pepper on a tenth", (("noise.model", "salt_and_pepper"),)),
    ("half of the pixels", (("operator.name", "inpainting"),)))
TEXTURE_CROPS = (("brick", (100, 100, 64, 64)), ("grass", (100, 100, 64, 64)))
# Denoising and inverse problems: (name, images, what changes in the config). Colour photographs; grey slices and frames.
COLOUR = (("rocket", (90, 260, 96, 96)), ("immunohistochemistry", (200, 200, 96, 96)),
          ("retina", (600, 600, 96, 96)))
GREY = (("cell", (280, 200, 96, 96)), ("microaneurysms", (3, 3, 96, 96)))
DENOISING = tuple(
    (f"noise {sigma}", COLOUR, (("operator.name", "identity"), ("noise.sigma", sigma))) for sigma in (0.1, 0.05, 0.02))
OPERATORS = (
    ("half of the pixels, noise 0.05", COLOUR, (("operator.name", "inpainting"), ("noise.sigma", 0.05))),
    ("Gaussian blur of 1.6 pixels, noise 0.02", COLOUR, (("operator.name", "deblurring"), ("noise.sigma", 0.02))),
    ("4 x super-resolution, noise 0.02", COLOUR, (("operator.name", "super_resolution"), ("noise.sigma", 0.02))),
    ("MRI, a quarter of the lines, noise 0.03", (("mr_slice", (0, 0, 64, 64)), *GREY),
     (("operator.name", "mri"), ("noise.sigma", 0.03))),
    ("tomography, 60 angles, noise 0.03", (("ct_slice", (0, 0, 128, 128)), *GREY),
     (("operator.name", "tomography"), ("noise.sigma", 0.03))))
PROBLEMS = (*DENOISING, *OPERATORS)
# Method auto: those of `compare` and of `inverse`.
AUTO = (("64 x 64, noise 0.1", CROPS, (("operator.name", "identity"), ("noise.sigma", 0.1))), *PROBLEMS)
# What is expected of a result: also stronger noise, and grey images.
EXPECTED = (*((name, (*COLOUR, *GREY), changes) for name, _, changes in DENOISING),
            ("noise 0.2", (*COLOUR, *GREY), (("operator.name", "identity"), ("noise.sigma", 0.2))), *OPERATORS)
# One of each kind, without the controls that tell apart why one is ahead.
QUICK_METHODS = (
    "learned mask (OES)", "learned mask, kernels only", "dense (deep image prior)", "dense, plain mean",
    "dense, SGLD, posterior mean", "deep decoder, dense", "narrow dense, as many weights as kept",
    "narrow dense, as many weights as can act", "learned mask shuffled inside arrays", "random", "random, kernels only",
    "random, 50 %", "magnitude", "SNIP", "GraSP", "SynFlow", "SynFlow, at least as many as can act",
    "iterative magnitude pruning", "iterative magnitude pruning on the clean image (oracle)", "recorrupted, dense",
    "recorrupted, learned mask", "recorrupted, ensemble of 4")
# Networks of the inverse problems.
NETWORKS = ("learned mask (OES)", "dense (deep image prior)", "deep decoder, dense", "recorrupted, dense",
            "recorrupted, learned mask", "recorrupted, ensemble of 4")
# Problems and networks of the presets of `inverse` alone.
_OF_INVERSE = {"default": (PROBLEMS, ("recorrupted, dense",)),
               "mask": ((*DENOISING[:2], *OPERATORS), ("recorrupted, dense", "recorrupted, learned mask")),
               "ensemble": ((*DENOISING[:2], *OPERATORS), ("recorrupted, dense", "recorrupted, ensemble of 4")),
               "operators": (OPERATORS, ("learned mask (OES)", "dense (deep image prior)"))}
# Most masks of these collapse: there is no learning rate to find; an ensemble has that of its members.
_NOT_TUNED = ("learned mask shuffled inside arrays", "random", "random, kernels only", "magnitude", "SNIP", "GraSP",
              "recorrupted, ensemble of 4")
# For the full preset; few bundled images are as large.
FULL = {"crops": (("astronaut", (0, 0, 512, 512)), ("immunohistochemistry", (0, 0, 512, 512)),
                  ("retina", (400, 400, 512, 512))),
        "tuning_crops": (("hubble_deep_field", (0, 0, 512, 512)),),
        "transfer_crops": (("hubble_deep_field", (0, 0, 512, 512)),),
        "texture_crops": (("brick", (0, 0, 512, 512)), ("grass", (0, 0, 512, 512)))}


def of_methods(preset: str, experiment: str, methods: tuple[str, ...]):
  """Return the config of a preset, restricted to some methods, under a name of its own."""
  config = get_config(preset)
  config.experiment = f"{experiment}-{preset}"
  config.benchmark.methods = methods
  return config


def get_config(preset: str = "quick"):
  """Return the config of a preset; everything but `benchmark` is common to all methods."""
  if preset not in PRESETS:
    raise ValueError(f"preset {preset!r} is unknown; allowed: {', '.join(PRESETS)}.")
  config = runs.make_config(preset="paper" if preset == "full" else "oes")
  config.unlock()
  shared = {"tuned": "quick", **dict.fromkeys(_OF_INVERSE, "default")}  # what one has run serves the other
  config.experiment = f"benchmark-{shared.get(preset, preset)}"
  config.weights.guard = "variance"  # one more output; changes nothing else
  config.weights.guard_window, config.weights.guard_patience = 100, 1000  # ES-WMV as published
  config.checkpoint.every_steps = 5000
  config.output.figures = False  # of every case; the benchmark's own are drawn
  config.compute.tile = 0  # an image that does not fit the memory is refused
  if preset == "full":
    config.mask.rounds = 14  # of 20 % each, as published: 0.8^14 = 4.4 %
  else:
    config.data.source = "astronaut_face"  # of no case: each names its image
    # At 64 x 64 a mask of the default density lets 0.19 weights act per measured value, as 5 % of the
    # hourglass does at 512 x 512.
    config.generator.num_scales = 4
    # Iterative magnitude pruning in the time of the mask stage; published rounds are as long as the weight stage.
    config.mask.rounds, config.mask.round_steps = 3, 500
  if preset == "answer":
    config.compute.images_per_device = 9  # all cases of a method at once: programs are compiled once
  if preset in ("quick", "tuned"):
    config.weights.num_steps, config.mask.round_steps = 1000, 300
  config.benchmark = benchmark = config_dict.ConfigDict()
  # Images, and the part of each that is restored.
  benchmark.crops = CROPS[:1] if preset == "small" else CROPS
  benchmark.seeds = (0, 1, 2) if preset in ("answer", "full") else (0,)
  # Names of methods.METHODS; () is all.
  benchmark.methods = QUICK_METHODS if preset in ("quick", "tuned") else ()
  if preset == "tuned":
    benchmark.methods = tuple(name for name in QUICK_METHODS if name not in _NOT_TUNED)
  # Learning rates, the common one among them, that are tried for every method on other images; () leaves the second table out.
  benchmark.learning_rates = (0.003, 0.01, 0.03, 0.1) if preset in ("tuned", "full") else ()
  benchmark.tuning_crops = TUNING_CROPS
  # Transfer: masks are also learned on these, and on other corruptions of the images themselves.
  benchmark.transfer_crops = TRANSFER_CROPS
  benchmark.transfer_corruptions = TRANSFER_CORRUPTIONS
  # Analyses: densities, noise levels, and textures.
  benchmark.densities = (0.01, 0.03, 0.1, 0.3, 0.6, 0.95)
  benchmark.sigmas = (0.02, 0.1, 0.5)
  benchmark.texture_crops = TEXTURE_CROPS
  # Denoising and inverse problems, each with its images and what it changes in the config; their seeds and networks.
  benchmark.problems, benchmark.networks = _OF_INVERSE.get(preset, (PROBLEMS, NETWORKS))
  benchmark.inverse_seeds = (0, 1, 2)
  benchmark.inverse_record = preset if preset in _OF_INVERSE else "inverse"
  if preset == "expected":
    benchmark.problems, benchmark.seeds = EXPECTED, (0, 1)
  if preset == "auto":
    benchmark.problems = AUTO
  if preset == "full":
    benchmark.update(FULL)
  return config.lock()
