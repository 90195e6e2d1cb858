"""TensorBoard's events, written as they come.

The writer of tensorboardX hands them to a thread. On a full disk that thread ends with a traceback, and the program then
waits for it for ever; here the write itself fails.
"""

import pathlib
import socket
import struct
import time


class Events:
  """A file of TensorBoard's events; it needs the package tensorboardX.

  Args:
    folder: the folder of the file; it is made where it is missing.
    first_step: number of the first point that is written; TensorBoard hides what earlier files hold from there on.

  Raises:
    ModuleNotFoundError: tensorboardX is not installed.
    OSError: the file cannot be written.
  """

  def __init__(self, folder: pathlib.Path, first_step: int):
    from tensorboardX import record_writer, summary  # pylint: disable=import-outside-toplevel
    from tensorboardX.proto import event_pb2  # pylint: disable=import-outside-toplevel
    self._event, self._scalar, self._checksum = event_pb2.Event, summary.scalar, record_writer.masked_crc32c
    folder.mkdir(parents=True, exist_ok=True)
    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
    self._file = open(folder / name, "ab", buffering=0)  # what a buffer holds would be tried again when it is dropped
    self._write(step=first_step, file_version="brain.Event:2")
    self._write(step=first_step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))

  def _write(self, **fields) -> None:
    data = self._event(wall_time=time.time(), **fields).SerializeToString()
    length = struct.pack("<Q", len(data))
    record = b"".join((length, struct.pack("<I", self._checksum(length)), data, struct.pack("<I", self._checksum(data))))
    while record:
      record = record[self._file.write(record):]

  def add_scalar(self, name: str, value: float, step: int) -> None:
    """Write a point of a curve."""
    self._write(step=step, summary=self._scalar(name, value))

  def close(self) -> None:
    """Close the file."""
    self._file.close()
