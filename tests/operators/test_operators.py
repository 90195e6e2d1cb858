"""Forward operators: linear, with exact adjoints, and equal to reference implementations."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
from scipy import ndimage
from skimage import transform

from oes_jax.operators import _damage as damage
from oes_jax.operators import _kernels as kernels
from oes_jax.operators import _operators as operators

SHAPE = (12, 16, 3)
COILS = operators.simulated_coils((12, 16), 3)
CASES = {
    "identity": (operators.identity(), SHAPE),
    "inpainting": (operators.inpainting(SHAPE, kept=0.4), SHAPE),
    "downsampling": (operators.downsampling(SHAPE, factor=4), SHAPE),
    "bicubic downsampling": (operators.downsampling(SHAPE, factor=2, kernel="bicubic"), SHAPE),
    "blur": (operators.blur(SHAPE, kernel=np.random.default_rng(0).random((3, 5))), SHAPE),
    "mri": (operators.mri((12, 16, 2), coils=COILS), (12, 16, 2)),
    "tomography": (operators.tomography(SHAPE, angles=np.array([0.0, 30.0, 90.0, 145.0])), SHAPE),
    "gaussian rows": (operators.gaussian_rows(SHAPE, share=0.3), SHAPE),
    "fourier rows": (operators.fourier_rows(SHAPE, share=0.3), SHAPE),
    "chain": (operators.chain(operators.blur(SHAPE, kernel=kernels.gaussian_kernel(0.8)),
                              operators.downsampling(SHAPE, factor=2),
                              operators.inpainting((6, 8, 3), kept=0.5)), SHAPE),
}


@pytest.fixture(name="rng")
def fixture_rng():
  return np.random.default_rng(0)


@pytest.mark.parametrize("name", CASES)
def test_operators_are_linear_and_have_their_adjoint(x64, rng, name):
  operator, shape = CASES[name]
  op_params = jax.tree.map(np.float64, operator.init(rng))
  apply = jax.jit(operator.apply)
  x, y = rng.standard_normal((2, *shape))
  image = apply(op_params, x)
  np.testing.assert_allclose(apply(op_params, 2 * x - 3 * y), 2 * image - 3 * apply(op_params, y), atol=1e-10)
  measurement = rng.standard_normal(image.shape)
  back = jax.jit(lambda p, m: operators.adjoint(operator.apply, p, m, shape))(op_params, measurement)
  assert back.shape == shape
  assert float(np.sum(image * measurement)) == pytest.approx(float(np.sum(x * back)), rel=1e-9)
  assert np.abs(image).max() > 0


@pytest.mark.parametrize("name", ["inpainting", "mri", "blur"])
def test_parameters_may_differ_in_a_batch(rng, name):
  operator, shape = CASES[name]
  several = [operator.init(np.random.default_rng(seed)) for seed in (1, 2)]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *several)
  images = rng.standard_normal((2, *shape)).astype(np.float32)
  together = jax.jit(jax.vmap(operator.apply))(stacked, images)
  for row in range(2):
    np.testing.assert_allclose(together[row], operator.apply(several[row], images[row]), atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_estimates_have_the_shape_of_the_image_and_what_is_seen_that_of_the_measurement(rng, name):
  operator, shape = CASES[name]
  op_params = operator.init(rng)
  measurement = operator.apply(op_params, jnp.full(shape, 0.5))
  assert operator.estimate(op_params, measurement).shape == shape
  seen = operator.seen(op_params)
  if seen is not None:
    assert seen.shape == (*measurement.shape[:-1], 1) and set(np.unique(seen)) == {0, 1}
    assert not np.any(measurement * (1 - seen))  # nothing is lost that was measured


@pytest.mark.parametrize("name", ["mri", "gaussian rows", "fourier rows"])
def test_the_unit_is_what_white_noise_in_the_image_makes_of_a_measured_value(rng, name):
  operator, shape = CASES[name]
  op_params = operator.init(rng)
  noise = rng.standard_normal((200, *shape)).astype(np.float32)
  measured = np.asarray(jax.jit(jax.vmap(lambda x: operator.apply(op_params, x)))(noise))
  seen = operator.seen(op_params)
  values = measured if seen is None else measured[np.broadcast_to(seen > 0, measured.shape)]
  assert values.std() == pytest.approx(operator.unit, rel=0.1)


@pytest.mark.parametrize("name, count", [
    ("identity", 576), ("inpainting", 77 * 3), ("downsampling", 36), ("mri", 3 * 48 * 2), ("fourier rows", 348),
    ("tomography", 23 * 4 * 3), ("chain", 24 * 3)])
def test_measured_values_are_counted_up_to_those_of_the_image(name, count):
  assert operators.count_measured(*CASES[name]) == count


@pytest.mark.parametrize("name", ["identity", "blur", "downsampling", "bicubic downsampling"])
def test_a_grey_image_is_estimated_exactly(rng, name):
  operator, shape = CASES[name]
  op_params = operator.init(rng)
  scale = np.sum(op_params) if name == "blur" else 1
  estimate = operator.estimate(op_params, operator.apply(op_params, jnp.full(shape, 0.5)))
  np.testing.assert_allclose(estimate, 0.5 * scale, rtol=1e-4)


def test_blur_is_the_convolution_with_reflected_edges(rng):
  kernel, image = rng.random((3, 5)), rng.random(SHAPE).astype(np.float32)
  operator = operators.blur(SHAPE, kernel=kernel)
  expected = np.stack([ndimage.convolve(image[..., c], kernel, mode="mirror") for c in range(3)], -1)
  np.testing.assert_allclose(operator.apply(operator.init(rng), image), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 24), (17, 22)])
def test_tomography_is_scikit_images_radon(rng, shape):
  image = rng.random(shape)
  angles = np.array([0.0, 20.0, 45.0, 90.0, 133.0])
  operator = operators.tomography((*shape, 1), angles=angles)
  sinogram = operator.apply(operator.init(rng), jnp.asarray(image[..., None], jnp.float32))
  expected = transform.radon(image, angles, circle=False)
  assert sinogram.shape == (*expected.shape, 1)
  np.testing.assert_allclose(sinogram[..., 0], expected, atol=1e-4)


def test_downsampling_averages_blocks():
  image = jnp.arange(16.0).reshape(4, 4, 1)
  operator = operators.downsampling((4, 4, 1), factor=2)
  np.testing.assert_array_equal(operator.apply((), image)[..., 0], [[2.5, 4.5], [10.5, 12.5]])


@pytest.mark.parametrize("kernel, name", [("bicubic", Image.Resampling.BICUBIC), ("lanczos", Image.Resampling.LANCZOS)])
def test_downsampling_is_what_image_programs_do(rng, kernel, name):
  image = rng.random((24, 32)).astype(np.float32)
  coarse = operators.downsampling((24, 32, 1), factor=4, kernel=kernel).apply((), image[..., None])
  expected = np.asarray(Image.fromarray(image).resize((8, 6), name))
  np.testing.assert_allclose(coarse[..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", damage.DAMAGE)
@pytest.mark.parametrize("shape", [(16, 16), (96, 128), (40, 300)])
def test_damage_loses_some_pixels_everywhere(name, shape):
  mask = damage.DAMAGE[name](shape)
  assert mask.shape == shape and set(np.unique(mask)) == {0, 1} and 0.02 < 1 - mask.mean() < 0.2
  np.testing.assert_array_equal(mask, damage.DAMAGE[name](shape))
  if name == "text":  # from edge to edge
    assert (mask[:, :shape[1] // 4] == 0).any() and (mask[:, -shape[1] // 4:] == 0).any()


def test_full_sampling_and_unit_coils_keep_the_energy(rng):
  operator = operators.mri((12, 16, 2), coils=COILS, sampling=np.ones((12, 16)))
  image = rng.standard_normal((12, 16, 2)).astype(np.float32)
  space = operator.apply(operator.init(rng), image)
  assert space.shape == (3, 12, 16, 2)
  assert float(np.sum(np.square(space))) == pytest.approx(np.sum(image ** 2), rel=1e-4)
  back = operators.adjoint(operator.apply, operator.init(rng), space, (12, 16, 2))
  np.testing.assert_allclose(back, image, atol=1e-4)  # the adjoint is then the inverse


@pytest.mark.parametrize("width, acceleration, centre", [(100, 4, 0.08), (64, 8, 0.01), (63, 4, 0.1), (64, 4, 0.08)])
def test_lines_are_as_many_as_asked_for_with_the_middle_among_them(rng, width, acceleration, centre):
  lines = operators.cartesian_lines(width, acceleration=acceleration, centre=centre, rng=rng)
  assert lines.sum() == round(width / acceleration)
  constant = np.abs(np.asarray(operators.centred_fft(jnp.ones((1, width), jnp.complex64))))[0]
  assert lines[constant.argmax()] == 1  # the zero frequency
  middle = max(1, round(centre * width))
  assert lines[width // 2 - middle // 2:][:middle].all()


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_kernels_are_normalised_and_centred(sigma):
  for kernel in (kernels.gaussian_kernel(sigma), kernels.motion_kernel(7, 30.0)):
    assert kernel.sum() == pytest.approx(1) and kernel.shape[0] % 2 == 1
    rows, columns = np.indices(kernel.shape) - (np.array(kernel.shape) // 2)[:, None, None]
    assert abs(np.sum(rows * kernel)) < 0.1 and abs(np.sum(columns * kernel)) < 0.1
  np.testing.assert_allclose(kernels.motion_kernel(5, 0.0)[2], 0.2)


@pytest.mark.parametrize("make, said", [
    (lambda: operators.inpainting(SHAPE, mask=np.ones((3, 3))), r"the mask is \(3, 3\), the image \(12, 16\)"),
    (lambda: operators.inpainting(SHAPE, mask=np.zeros((12, 16))), "measures no pixel"),
    (lambda: operators.downsampling(SHAPE, factor=5), "factor 5 does not divide 12x16"),
    (lambda: operators.blur(SHAPE, kernel=np.ones((13, 3))), "the kernel is 13x3, the image 12x16"),
    (lambda: operators.blur(SHAPE, kernel=np.ones((2, 3))), "odd sides"),
    (lambda: operators.mri((12, 16, 3), coils=COILS), "3 channels; allowed: 2"),
    (lambda: operators.mri((12, 12, 2), coils=COILS), "the coil maps are"),
    (lambda: operators.mri((12, 16, 2), coils=COILS, sampling=np.ones((16, 12))), "the sampling is"),
    (lambda: operators.mri((12, 16, 2), coils=COILS, sampling=np.zeros(16)), "measures nothing"),
    (lambda: operators.cartesian_lines(10, acceleration=4, centre=0.5, rng=None), "more than the 2 of"),
])
def test_what_does_not_match_is_named(make, said):
  with pytest.raises(ValueError, match=f"{said}.*"):
    make()
