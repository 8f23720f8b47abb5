"""CIFAR-10, read from its binary version."""

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

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = [f"data_batch_{i}.bin" for i in range(1, 6)]
VAL_FILE = "test_batch.bin"
CLASSES = 10
SHAPE = (3, 32, 32)
IMAGE_BYTES = 1 + 3 * 32 * 32
"""One byte for the label and one for each value of a pixel."""

SET_THE_FOLDER = "set data.folder to a folder with the files of CIFAR-10's binary version"


@dataclass(frozen=True)
class Cifar10:
    """A random subset of CIFAR-10's training images, and its test images. Pixels are in [0, 1], without augmentation.

    The subset depends on the seed and on the number of training images in the folder: from a folder that has only some
    of the files, the same seed draws other images.

    Parameters
    ----------
    train : int
        Number of training images, drawn at random without replacement.
    val : int
        Number of validation images: the first ones of the test file, or all of them if there are fewer.
    folder : path
        Folder of the ``.bin`` files. If it is empty, the folder in the environment variable SLINGSHOT_DATA is used. If
        that is not set either, the files are downloaded (170 MB) into the user's cache folder, once.

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
        """Return at most `samples` random images, which need no download, for timing the training."""
        return RandomImages(min(self.train, samples))

    def make(self, generator: torch.Generator) -> Dataset:
        """Read the images and draw the subset.

        Raises
        ------
        InputError
            If files are missing, can't be downloaded, are not CIFAR-10, or have fewer than `train` training images.
        """
        folder = find_folder(self.folder)
        parts = [read_images(folder / name) for name in TRAIN_FILES if (folder / name).exists()]
        images, targets = (torch.cat(part) for part in zip(*parts, strict=True))
        if self.train > len(images):
            raise InputError(f"{folder}: has {len(images)} training images, but data.train is {self.train}")
        chosen = torch.randperm(len(images), generator=generator)[: self.train]
        val_images, val_targets = read_images(folder / VAL_FILE)
        return Dataset(
            images[chosen].float() / 255,
            targets[chosen],
            val_images[: self.val].float() / 255,
            val_targets[: self.val],
            classes=CLASSES,
        )


@dataclass(frozen=True)
class RandomImages:
    """Random images with the shape and the classes of CIFAR-10."""

    train: int

    def make(self, generator: torch.Generator) -> Dataset:
        """Draw the pixels and the classes."""
        images = torch.rand((self.train, *SHAPE), generator=generator)
        targets = torch.randint(CLASSES, (self.train,), generator=generator)
        return Dataset(images, targets, images[:1], targets[:1], classes=CLASSES)


def read_images(path: Path) -> tuple[Tensor, Tensor]:
    """Read one file. Each image has 1 label byte and 3,072 pixel bytes: red, green, blue, each row by row.

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
        If the file does not consist of such images.
    """
    size = path.stat().st_size
    if size == 0 or size % IMAGE_BYTES:
        raise InputError(
            f"{path}: has {size} bytes, which is not a multiple of {IMAGE_BYTES}. The file is incomplete or not from "
            f"CIFAR-10's binary version; get it again from {URL}"
        )
    rows = torch.from_numpy(np.fromfile(path, np.uint8).reshape(-1, IMAGE_BYTES))
    targets = rows[:, 0].long()
    if targets.max() >= CLASSES:
        raise InputError(f"{path}: has the label {targets.max()}, but CIFAR-10 has 0 to 9; get it again from {URL}")
    return rows[:, 1:].reshape(-1, *SHAPE), targets


def find_folder(folder: str = "") -> Path:
    """Return the folder of the files, and download them if necessary.

    Parameters
    ----------
    folder : path, optional
        As for `Cifar10`.

    Raises
    ------
    InputError
        If `folder` or SLINGSHOT_DATA names a folder without the files, or they can't be downloaded.
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
        f"{source} is {named!r}, but neither this folder nor its subfolder {FOLDER} has {VAL_FILE} and a "
        f"data_batch_N.bin (N from 1 to 5); {SET_THE_FOLDER}"
    )


def _cached() -> Path:
    try:
        import pooch
    except ImportError as error:
        raise InputError(
            f'downloading CIFAR-10 needs pooch: pip install "slingshot-analysis[trainers]", or {SET_THE_FOLDER}'
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
        raise InputError(f"{URL}: can't be downloaded into {folder} ({error}); {SET_THE_FOLDER}") from error
    return folder
