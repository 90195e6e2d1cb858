"""Method auto against its candidates: rows and table."""

from oes_jax.bench import _auto


def _summary(auto, **candidates):
  return {"quality": {"combined": {"psnr": auto, "ssim": 0.9}}, "expected_psnr": {"psnr": auto - 1},
          "candidates": [{"name": name, "share": 0.5, "misfit": 0.1, "seconds": 2.0, "quality": {"psnr": psnr, "ssim": 0.8}}
                         for name, psnr in candidates.items()]}


def test_the_table_has_means_of_what_every_case_has_and_the_best_of_each_case():
  rows = [*_auto.rows_of("noise", ("a", 0), _summary(31.0, one=30.0, other=29.0, third=20.0)),
          *_auto.rows_of("noise", ("b", 0), _summary(33.0, one=30.0, other=34.0)),
          *_auto.rows_of("blur", ("a", 0), _summary(25.0, one=24.0))]
  table = _auto.tabulate(rows)
  assert table[0] == ["problem", "cases", "auto", "one", "other", "best candidate of each case (oracle)", "auto, seconds"]
  assert table[1] == ["noise", "2", "32.00", "30.00", "31.50", "32.00", "5"]
  assert table[2] == ["blur", "1", "25.00", "24.00", "", "24.00", "2"]
  assert table[3] == ["mean over the problems", "3", "28.50", "27.00", "", "28.00", "4"]
