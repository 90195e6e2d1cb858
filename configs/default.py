"""Every key of a run, with its default. Experiment files change only what differs.

Override any key on the command line: --config.weights.num_steps=3000. A key whose default is
None is automatic until it is set. Source "OES" is the authors' code of arXiv 2406.05288.
"""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Return the defaults, locked: an unknown key raises and names the nearest known one."""
  config = config_dict.ConfigDict()
  # Name of the experiment; the default workdir is runs/<experiment>-<hash of the config>.
  config.experiment = "default"
  # Seed of every draw: noise, initial params, network input, gates, random mask.
  config.seed = 0
  # Restorations of every measurement, with a seed each (own initial params, network input, gates);
  # their mean is the result, and their spread the uncertainty map. 1: none.
  config.ensemble = 1

  config.data = data = config_dict.ConfigDict()
  # A bundled image by name: one of scikit-image's (astronaut, brick, camera, cell, chelsea, coffee, coins, grass,
  # gravel, hubble_deep_field, immunohistochemistry, microaneurysms, moon, page, retina, rocket, text), a crop of one
  # (astronaut_face, 160 x 160; astronaut_face_128) or one of pydicom's (ct_slice, mr_slice). Or a path: PNG, JPEG,
  # TIFF, NPY, DICOM, or an NPZ scan. Many images: a folder, a glob, names or paths with commas between, or
  # tfds:NAME#SPLIT (a prepared TensorFlow Datasets data set).
  data.source = "astronaut"
  # Path or bundled name of the clean image; only ever scored. None: the bundled original, where
  # noise was simulated; else no truth.
  data.truth = config_dict.placeholder(str)
  # (top, left, height, width) in pixels to restore. None: the whole image.
  data.crop = config_dict.placeholder(tuple)
  # Longest side in pixels: a larger image is scaled down, after the crop. None: no limit.
  data.max_side = config_dict.placeholder(int)
  # (low, high) values of the file that map to 0 and 1. None: 8-bit data the range of the type,
  # other data a robust range of the measurement.
  data.range = config_dict.placeholder(tuple)

  config.operator = operator = config_dict.ConfigDict()
  # What was measured of the image: identity (all of it), inpainting (some pixels), super_resolution (a
  # coarser image), deblurring (a blurred one), mri (k-space of several coils), tomography (parallel-beam CT),
  # fourier_rows or gaussian_rows (compressed sensing). The last two are simulated only; measured data of mri
  # and tomography are NPZ files, see README, "Through an operator".
  operator.name = "identity"
  # Whether the measurement is simulated from data.source, a clean image. None: from bundled images, and where
  # the strength of a noise is given; any other file is the measurement.
  operator.simulate = config_dict.placeholder(bool)
  # inpainting: share of the pixels that are measured, at random; or lines (scratches) or text, or an image (or
  # .npy) that is 0 where a pixel is lost.
  operator.kept = 0.5
  operator.mask = config_dict.placeholder(str)
  # super_resolution: pixels of the image along a side of a measured one; and how they make it: box (their
  # mean), bicubic or lanczos (stretched by the factor, as image programs scale down).
  operator.factor = 4
  operator.downsampling = "box"
  # deblurring: gaussian, motion, or the path of a kernel (an image or .npy, odd sides; its sum becomes 1).
  operator.kernel = "gaussian"
  # Standard deviation of the Gaussian; length of the motion; all in pixels. Angle in degrees from the row.
  operator.kernel_sigma = 1.6
  operator.motion_length = 9
  operator.motion_angle = 30.0
  # mri: simulated coils; columns of k-space to measured ones; share of the columns in the middle that are
  # measured in any case.
  operator.coils = 4
  operator.acceleration = 4.0
  operator.centre = 0.08
  # tomography: angles, evenly over 180 degrees.
  operator.angles = 60
  # fourier_rows, gaussian_rows: measured values to pixels.
  operator.rows = 0.3

  config.noise = noise = config_dict.ConfigDict()
  # gaussian, poisson, poisson_gaussian, salt_and_pepper, speckle or rician. The data fit is that of the model
  # (gaussian: mean squared error [OES]; salt_and_pepper: robust; poisson_gaussian and rician read the
  # strength below, which a measured file needs then).
  noise.model = "gaussian"
  # Standard deviation, in the (0, 1) range (speckle: of the factor; an operator that sums pixels: of such a sum
  # to one pixel); a noisy image is clipped to the range [OES]. None: 0.1 where noise is simulated, 0.02 with deblurring and
  # super_resolution. 0: none. Set for a file it makes that the clean image, and noise is added: leave it None for a
  # file that is noisy already, but with rician and poisson_gaussian, whose fit reads it.
  noise.sigma = config_dict.placeholder(float)
  # poisson, poisson_gaussian: expected counts at the value 1. None: 100 where noise is simulated.
  noise.peak = config_dict.placeholder(float)
  # salt_and_pepper: share of the pixels that become 0 or 1. None: 0.1 where noise is simulated.
  noise.share = config_dict.placeholder(float)
  # Seed of the simulated noise. None: the config's seed.
  noise.seed = config_dict.placeholder(int)

  config.generator = generator = config_dict.ConfigDict()
  # hourglass [OES default] or deep_decoder [Heckel and Hand 2019].
  generator.name = "hourglass"
  # Resolution halvings; lowered where the deepest map would be under 4 pixels wide. OES: 6.
  generator.num_scales = 6
  # Widths, finest scale first (hourglass: num_scales of them). None: the published widths,
  # 16, 32, 64, 128, 128, 128 for the hourglass.
  generator.channels = config_dict.placeholder(tuple)

  config.mask = mask = config_dict.ConfigDict()
  # learn (OES, stage 1), bundled (a shipped mask, no mask stage), file (mask.path), dense (keep all:
  # a deep image prior), random, shuffled (mask.path, permuted inside every array), a criterion for
  # pruning at initialisation (magnitude, snip, grasp, synflow), imp (iterative magnitude pruning: train,
  # prune, rewind to the initial weights, again), or imp_oracle (imp on the clean image: a control).
  mask.source = "learn"
  # For sources "file" and "shuffled": the mask/ folder of another run, or a mask pickle of the authors.
  mask.path = config_dict.placeholder(str)
  # What a mask may prune: all weights [OES], or the kernels of convolutions alone: norms and biases are kept, and
  # count as kept. None: all for "learn" and "random", kernels for the criteria and imp, as in their publications.
  mask.prune = config_dict.placeholder(str)
  # Share of all weights that is kept, in (0, 1], and the prior of the KL. OES: 0.05. None: a prior of
  # 5 % or more, and as many weights as let 0.19 per measured value act; see docs/results.md, "How many weights".
  mask.keep_fraction = config_dict.placeholder(float)
  # Where the largest logits are taken: global (over all weights) [OES] or layerwise.
  mask.scope = "global"
  # Rounds of "imp". Each keeps the same share of the weights that may be pruned and the one before kept.
  mask.rounds = 10
  # Weight steps of every round. None: weights.num_steps.
  mask.round_steps = config_dict.placeholder(int)
  # Steps of the mask stage. OES: 60,000 to 80,000.
  mask.num_steps = 500
  # Adam's learning rate for the logits. OES: 0.01.
  mask.learning_rate = 0.3
  # constant [OES] or cosine (decay to zero over the stage).
  mask.schedule = "cosine"
  # Weight of the KL term, summed over weights, beside a MEAN squared error. OES: 1e-9.
  mask.kl_weight = 1e-7
  # Temperature of the relaxed gates. OES: 0.2.
  mask.temperature = 0.5

  config.weights = weights = config_dict.ConfigDict()
  # Steps of the weight stage. OES: 40,000.
  weights.num_steps = 1500
  # Adam's learning rate for the weights. OES: 0.01.
  weights.learning_rate = 0.01
  # constant [OES] or cosine.
  weights.schedule = "constant"
  # Decay of the exponential moving average of the output image, in [0, 1); 1: the plain mean. OES: none.
  weights.average_decay = 0.99
  # Steps before the first whose output is averaged (a burn-in).
  weights.average_from = 0
  # Standard deviation of the noise added to every convolution's kernel after each step, in learning rates
  # (stochastic gradient Langevin dynamics, arXiv 1904.07457: 2). 0: none.
  weights.sgld_noise = 0.0
  # Standard deviation of the noise added to the network input, which lies in [0, 0.1), in every step. 0: none.
  weights.input_noise = 0.0
  # When to stop, without the truth: None, variance (of the last outputs, ES-WMV) or held_out (pixels that
  # neither stage sees). All steps run; the guard's choice is one more output, and says its step.
  weights.guard = config_dict.placeholder(str)
  # Outputs whose variance is taken, and steps without a better one after which the choice is final.
  weights.guard_window = 100
  weights.guard_patience = 1000
  # Share of the pixels that guard "held_out" keeps from both stages.
  weights.held_out = 0.05

  # Values to cross with every image, each a tuple; () leaves the key above as it is.
  config.sweep = sweep = config_dict.ConfigDict()
  sweep.seeds = ()
  sweep.sigmas = ()
  sweep.mask_sources = ()
  sweep.keep_fractions = ()
  sweep.kl_weights = ()

  config.output = output = config_dict.ConfigDict()
  # Which image is the result: average (of the outputs), last (the last step's output) [OES], or guarded
  # (weights.guard's choice).
  output.image = "average"
  # Whether before_after.png, curves.png, mask.png and uncertainty.png are drawn: two to three seconds a case.
  output.figures = True

  config.checkpoint = checkpoint = config_dict.ConfigDict()
  # Steps between checkpoints; one is also written at each stage's end and on SIGTERM or SIGINT.
  checkpoint.every_steps = 500

  config.compute = compute = config_dict.ConfigDict()
  # Form of the convolutions: gemm, lax (lax.conv) or auto (by backend).
  compute.conv = "auto"
  # Matrix product precision: default, high or highest. On GPU and TPU the default is TF32 or
  # bfloat16; on CPU all are float32.
  compute.precision = "default"
  # Type of the factors and products of every convolution: float32 or bfloat16 (half the traffic on
  # GPU and TPU). Weights, norms and the image stay float32.
  compute.dtype = "float32"
  # Largest side of a tile, in pixels. None: the whole image where its memory suffices, else the
  # largest tiles that fit. 0: never cut.
  compute.tile = config_dict.placeholder(int)
  # Overlap of neighbouring tiles, over which they are blended, in pixels.
  compute.tile_overlap = 32
  # Whether the weight stage drops the channels that the mask leaves unable to act: exact, and
  # several times less work at 5 %.
  compute.compaction = True
  # Steps of one compiled chunk. None: about one to two seconds of them on the backend.
  compute.chunk_steps = config_dict.placeholder(int)
  # Images that a device restores at once. None: by backend and free memory.
  compute.images_per_device = config_dict.placeholder(int)
  # Folder of JAX's persistent compilation cache; "" turns it off.
  compute.compilation_cache = "~/.cache/oes_jax"
  return config.lock()
