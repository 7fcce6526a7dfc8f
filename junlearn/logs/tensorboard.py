"""Logs for TensorBoard, written by tensorboardX: a folder of events for each network.

tensorboardX's own `SummaryWriter` writes in a thread, and a run would wait without end for one that a full disk has
ended. So events are written here at once, by the writer below it.
"""

import secrets
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from junlearn.logs.logger import Epoch, Network

__all__ = ["TensorBoardLog", "events", "scalars"]

FRAME = struct.Struct("<QI")
"""Before an event in its file: its length, and a checksum of that. Behind it stands a checksum of four bytes."""
CHECKSUM = 4


class TensorBoardLog:
    """Event files in the folders `NETWORK-HASH` of `directory`, eight digits of the hash of the record."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._folders: dict[str, _Folder] = {}

    def epoch(self, network: Network, epoch: Epoch) -> None:
        """Add a point to the curve `STAGE/METRIC` of every metric."""
        values = {f"{epoch.stage}/{name}": value for name, value in epoch.values.items()}
        self._folder(network).scalars(values, epoch.step)

    def finished(
        self, network: Network, settings: Mapping[str, Any], values: Mapping[str, float], step: int
    ) -> None:
        """Add the values as `final/METRIC`, and the network with its settings to the table of hyper-parameters."""
        folder, final = self._folder(network), {f"final/{n}": v for n, v in values.items()}
        if folder.scalars(final, step):
            from tensorboardX.summary import hparams

            for summary in hparams(dict(settings), final):
                folder.add(summary)

    def pictures(self, paths: Sequence[Path]) -> None:
        """Add the PNG files, in a folder of their own."""
        from PIL import Image
        from tensorboardX.proto.summary_pb2 import Summary

        folder = self._folder(None)
        for path in paths:
            if path.suffix == ".png":
                with Image.open(path) as image:
                    width, height = image.size
                shown = Summary.Image(
                    width=width,
                    height=height,
                    colorspace=4,
                    encoded_image_string=path.read_bytes(),
                )
                folder.add(Summary(value=[Summary.Value(tag=path.stem, image=shown)]))

    def close(self, failed: bool) -> None:
        """Close the files."""
        for folder in self._folders.values():
            folder.close()

    def _folder(self, network: Network | None) -> "_Folder":
        """That of a network, or of the pictures."""
        name = "plots" if network is None else f"{network.name}-{network.config_hash[:8]}"
        if name not in self._folders:
            self._folders[name] = _Folder(self._directory / name)
        return self._folders[name]


class _Folder:
    """The events of one network. A point that is there is not written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = {(tag, step): value for tag, step, value in scalars(path)}
        self._writer: Any = None

    def scalars(self, values: Mapping[str, float], step: int) -> bool:
        """Add those that are new, or have another value than before; returns whether there were any."""
        from tensorboardX.proto.summary_pb2 import Summary

        single = {name: _single(value) for name, value in values.items()}
        new = {n: value for n, value in single.items() if self._known.get((n, step)) != value}
        if new:
            points = [Summary.Value(tag=n, simple_value=value) for n, value in new.items()]
            self.add(Summary(value=points), step)
            self._known |= {(n, step): value for n, value in new.items()}
        return bool(new)

    def add(self, summary: Any, step: int = 0) -> None:
        """Write an event, to be read by others at once."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event

        if self._writer is None:
            self._path.mkdir(parents=True, exist_ok=True)
            # Its own name is that of the second, and another process may have begun in the same.
            suffix = f".{secrets.token_hex(4)}"
            self._writer = EventsWriter(str(self._path / "events"), suffix)
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def scalars(folder: Path) -> Iterator[tuple[str, int, float]]:
    """`(tag, step, value)` of every point in the event files of a folder."""
    for event in events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                yield value.tag, event.step, value.simple_value


def events(folder: Path) -> Iterator[Any]:
    """The events in the files of a folder, in the order in which they were written."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events.out.tfevents.*")):
        yield from map(Event.FromString, _contents(path.read_bytes()))


def _contents(content: bytes) -> Iterator[bytes]:
    """The events of a file; one that was cut off at its end is left out, as TensorBoard does."""
    start = 0
    while start + FRAME.size <= len(content):
        length, _ = FRAME.unpack_from(content, start)
        start += FRAME.size
        if start + length + CHECKSUM > len(content):
            return
        yield content[start : start + length]
        start += length + CHECKSUM


def _single(value: float) -> float:
    """A number as an event holds it: in 32 bits."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
