"""Settings that go together, by dotted names: section of a config, and setting."""

from typing import Any

# What an operator's restoration needs other than the defaults.
OPERATOR_PRESETS: dict[str, dict[str, Any]] = {
    # A coarse image says nothing of how a fine one varies between its pixels. The hourglass fills that with noise, and
    # a sparse one most of all; the deep decoder, which only interpolates and mixes channels, cannot.
    "super_resolution": {"generator.name": "deep_decoder", "mask.source": "dense"},
    # Scans have little noise, of about 3 %: there the few weights that a mask leaves miss detail (docs/results.md,
    # "Inverse problems").
    "mri": {"mask.source": "dense", "noise.sigma": 0.03},
    "tomography": {"mask.source": "dense", "noise.sigma": 0.03},
}
# Fit the clean image and not the noise: the default. Where the outputs fit the values best that nothing is fitted to, 5 % of
# them, says which weights make the result. Dense: under this objective no mask was ahead (docs/results.md).
RECORRUPTED: dict[str, Any] = {
    "fit.objective": "recorrupted",
    "generator.name": "skip_hourglass",
    "generator.input": "measurement",
    "generator.num_scales": 4,
    "generator.skip_channels": 2,
    "mask.source": "dense",
    "weights.num_steps": 600,
    "weights.guard": "held_out",
    "weights.combine": True,
    "output.image": "combined",
}
# What takes the place of the above in a preview: the classical estimate is the picture, so the network is as small as one can be,
# and nothing is done that takes seconds and leaves the picture as it is.
PREVIEW: dict[str, Any] = {
    "generator.num_scales": 1,
    "generator.channels": (8,),
    "weights.num_steps": 5,
    "weights.simulate_error": False,
    "output.figures": False,
}
# The same where nothing is recorrupted, and there is no classical estimate.
PLAIN_PREVIEW: dict[str, Any] = {"mask.source": "dense", "weights.num_steps": 150, "output.figures": False}
# What was best in every table (docs/results.md, "An ensemble of four").
BEST: dict[str, Any] = {"ensemble": 4}
# What a mask that is learned under it changes: a tenth of the kernels, in a short stage.
RECORRUPTED_MASK: dict[str, Any] = {
    "mask.source": "learn", "mask.prune": "kernels", "mask.keep_fraction": 0.1, "mask.num_steps": 150,
    "mask.learning_rate": 0.3, "mask.schedule": "cosine", "mask.kl_weight": 1e-7, "mask.temperature": 0.5}
# What an operator needs other than that. Aliases of k-space look like an image, which a generator that is fed with them copies.
RECORRUPTED_OPERATOR_PRESETS: dict[str, dict[str, Any]] = {
    "mri": {"weights.num_steps": 1500, "generator.name": "hourglass", "generator.input": "noise", "generator.num_scales": 6},
}
# Operators whose restorations are the better for it; the others keep the plain objective (docs/results.md).
RECORRUPTED_OPERATORS = ("identity", "inpainting", "deblurring", "super_resolution", "mri", "tomography")
# The constants of the authors' code of arXiv 2406.05288 (OES), made for photographs of 512 x 512 pixels.
PAPER: dict[str, Any] = {
    "mask.keep_fraction": 0.05,
    "mask.num_steps": 60_000,
    "mask.learning_rate": 0.01,
    "mask.schedule": "constant",
    "mask.kl_weight": 1e-9,
    "mask.temperature": 0.2,
    "weights.num_steps": 40_000,
    # Of ES-WMV, which OES compares with (arXiv 2112.06074), where weights.guard=variance asks for it.
    "weights.guard_window": 100,
    "weights.guard_patience": 1000,
}
