"""TensorBoard's events: records whose lengths, checksums and points are right, and a full disk that stops the write."""

import struct

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

from oes_jax.files import _events as events


def _read(data):
  while data:
    length, check = struct.unpack("<QI", data[:12])
    assert check == masked_crc32c(data[:8])
    body, data = data[12:12 + length], data[12 + length:]
    assert struct.unpack("<I", data[:4])[0] == masked_crc32c(body)
    data = data[4:]
    yield event_pb2.Event.FromString(body)


def test_points_come_back_from_the_file_at_once(tmp_path):
  written = events.Events(tmp_path / "tensorboard", 8)
  written.add_scalar("mask/loss", 0.25, 10)
  file, = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
  first, purge, point = _read(file.read_bytes())
  assert first.file_version == "brain.Event:2" and purge.session_log.status == event_pb2.SessionLog.START and purge.step == 8
  assert (point.step, point.summary.value[0].tag, point.summary.value[0].simple_value) == (10, "mask/loss", 0.25)
  written.close()


def test_a_file_that_cannot_be_written_raises_at_once(tmp_path):
  written = events.Events(tmp_path, 1)
  written._file = open("/dev/full", "wb", buffering=0)
  with pytest.raises(OSError, match="No space left on device"):
    written.add_scalar("mask/loss", 0.25, 10)
  written.close()
