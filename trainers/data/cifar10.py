"""CIFAR-10 from the files of its binary version."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset

__all__ = ["Cifar10", "find_folder", "read_records"]

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)]
VAL_FILE = "test_batch.bin"
CLASSES = 10
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
NAME_A_FOLDER = "name a folder that holds the files of CIFAR-10's binary version as data.folder"


@dataclass(frozen=True)
class Cifar10:
    """A random subset of CIFAR-10's training images, and its test images; pixels in [0, 1], no augmentation.

    The subset depends on the seed and on the number of training images found: the same seed draws other images from
    a folder that holds only a part of them.

    Parameters
    ----------
    train : int
        Number of training images, drawn at random without replacement.
    val : int
        Number of test images, the first ones of the file; all of them if there are fewer.
    folder : path
        Where the ``.bin`` files are. If empty: the folder in the environment variable SLINGSHOT_DATA, or else the
        user's cache folder, into which the files are downloaded (170 MB) if they aren't there.

    References
    ----------
    Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
    """

    train: int = 200
    val: int = 10_000
    folder: str = ""

    def __post_init__(self) -> None:
        if self.train < 1 or self.val < 1:
            raise InputError(f"CIFAR-10 needs at least one training and one validation image, got {self!r}")

    def stand_in(self, samples: int) -> RandomImages:
        """Return at most `samples` images of noise, which need no files, for measuring what training costs."""
        return RandomImages(min(self.train, samples))

    def make(self, generator: torch.Generator) -> Dataset:
        """Read the images and draw the subset.

        Raises
        ------
        InputError
            If files are missing, are not CIFAR-10, can't be downloaded, or hold fewer than `train` training images.
        """
        folder = find_folder(self.folder)
        parts = [read_records(folder / name) for name in TRAIN_FILES if (folder / name).exists()]
        images, targets = (torch.cat(part) for part in zip(*parts, strict=True))
        if self.train > len(images):
            raise InputError(f"{folder} holds {len(images)} training images, fewer than data.train={self.train}")
        chosen = torch.randperm(len(images), generator=generator)[: self.train]
        val_images, val_targets = read_records(folder / VAL_FILE)
        return Dataset(
            images[chosen].float() / 255,
            targets[chosen],
            val_images[: self.val].float() / 255,
            val_targets[: self.val],
            classes=CLASSES,
        )


@dataclass(frozen=True)
class RandomImages:
    """Noise in the shape of CIFAR-10."""

    train: int

    def make(self, generator: torch.Generator) -> Dataset:
        """Draw the pixels and the classes."""
        images = torch.rand((self.train, *SHAPE), generator=generator)
        targets = torch.randint(CLASSES, (self.train,), generator=generator)
        return Dataset(images, targets, images[:1], targets[:1], classes=CLASSES)


def read_records(path: Path) -> tuple[Tensor, Tensor]:
    """Read one file: records of 1 label byte and 3,072 pixel bytes (red, green, blue, each row by row).

    Parameters
    ----------
    path : Path
        Such as ``data_batch_1.bin``.

    Returns
    -------
    images : (n, 3, 32, 32) uint8 Tensor
        Pixels.
    targets : (n,) int64 Tensor
        Classes.

    Raises
    ------
    InputError
        If the file does not consist of such records.
    """
    size = path.stat().st_size
    if size == 0 or size % RECORD_BYTES:
        raise InputError(
            f"{path} has {size} bytes, not a multiple of {RECORD_BYTES}: it is cut off or not from CIFAR-10's binary "
            f"version; get it again from {URL}"
        )
    records = torch.from_numpy(np.fromfile(path, np.uint8).reshape(-1, RECORD_BYTES))
    targets = records[:, 0].long()
    if targets.max() >= CLASSES:
        raise InputError(f"{path}: label {targets.max()}, allowed are 0 to 9; the file is not from CIFAR-10")
    return records[:, 1:].reshape(-1, *SHAPE), targets


def find_folder(folder: str = "") -> Path:
    """Return the folder that holds the files, after a download if need be.

    Parameters
    ----------
    folder : path, optional
        As for `Cifar10`.

    Raises
    ------
    InputError
        If the folder named lacks files, or they can't be downloaded.
    """
    named = folder or os.environ.get("SLINGSHOT_DATA", "")
    if not named:
        return _cached()
    where = Path(named).expanduser()
    for candidate in (where, where / FOLDER):
        if (candidate / VAL_FILE).is_file() and any((candidate / name).is_file() for name in TRAIN_FILES):
            return candidate
    source = "data.folder" if folder else "the environment variable SLINGSHOT_DATA"
    raise InputError(
        f"{source} is {named!r}, where there is no {VAL_FILE} with a data_batch_N.bin (N from 1 to 5), nor in its "
        f"subfolder {FOLDER}; {NAME_A_FOLDER}"
    )


def _cached() -> Path:
    try:
        import pooch
    except ImportError as error:
        raise InputError(
            f'a download of CIFAR-10 needs pooch: pip install "slingshot-analysis[trainers]"; or {NAME_A_FOLDER}'
        ) from error

    folder: Path = pooch.os_cache("slingshot") / FOLDER
    names = [*TRAIN_FILES, VAL_FILE]
    if all((folder / name).is_file() for name in names):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            untar = pooch.Untar(extract_dir=".")
            pooch.retrieve(URL, f"sha256:{SHA256}", fname="cifar-10-binary.tar.gz", path=temporary, processor=untar)
            for name in names:
                (Path(temporary) / FOLDER / name).replace(folder / name)
    except (OSError, ValueError) as error:
        raise InputError(f"CIFAR-10 can't be downloaded from {URL} into {folder} ({error}); {NAME_A_FOLDER}") from error
    return folder
