"""Learn a mask, keep it with Orbax, and take it over for another image: python save_and_load_mask.py [STEPS]"""

import pathlib
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from skimage import data

import oes_jax
from oes_jax import generators, metrics

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
rng, folder = np.random.default_rng(0), pathlib.Path("my_mask").absolute()
clean = [image[90:154, 130:194] / 255 for image in (data.chelsea(), data.coffee())]
first, second = (np.uint8(255 * np.clip(image + 0.1 * rng.standard_normal(image.shape), 0, 1)) for image in clean)
asked = {"fit.objective": "plain", "generator.num_scales": 4, "weights.num_steps": steps}

own = oes_jax.LearnMask(num_steps=max(1, steps // 2))
learned = oes_jax.restore(first, mask=own, settings=asked)
with ocp.StandardCheckpointer() as checkpointer:
  checkpointer.save(folder, learned.mask, force=True)
with ocp.StandardCheckpointer() as checkpointer:
  params, _ = jax.eval_shape(generators.hourglass(second.shape, num_scales=4).init, jax.random.key(0))
  mask = checkpointer.restore(folder, jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, bool), params))

for name, how in (("a mask of its own", own), ("the other image's mask", mask)):
  restored = oes_jax.restore(second, mask=how, settings=asked)
  print(f"{name}: PSNR {metrics.psnr(restored.image / 255, clean[1]):.2f} dB")
