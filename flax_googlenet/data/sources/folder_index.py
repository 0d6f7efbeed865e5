"""Which image files a directory of class directories holds, listed once and remembered.

The listing is kept in the user's cache directory, never beside the images. It is believed
as far as it can be checked without listing files again: a directory's times change when a
file in it is added, removed or renamed, so one `stat` a class tells which classes to list anew.
Without a cache, or with one that is damaged, everything is listed.
"""

import bisect
import contextlib
import dataclasses
import hashlib
import itertools
import os
import pathlib
import tempfile
import time

import numpy as np
import platformdirs

from flax_googlenet.errors import UserError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_SUFFIXES = tuple(IMAGE_SUFFIXES)

# What a cache begins with: another layout of it, other suffixes or another idea of what is listed
# (index 1 had FIFOs and directories) make it another cache.
_FORMAT = f"flax_googlenet folder index 2 {sorted(IMAGE_SUFFIXES)}"

# A directory that had just been changed when it was listed may change again without its time
# doing so: clocks tick in steps of up to 2 s (FAT), and a file server's clock is not ours.
_SETTLED_NS = 60 * 10**9
_UNSETTLED = (-1, -1)  # no directory's times

_KEPT_CACHES = 32


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """Image files by class and name, each sorted; 25 bytes a file of ImageNet, paths would be 380.

    `[i]` is the label and the file name of image i, from 0 on.

    Attributes:
      classes: names of the directories.
      first: [classes + 1] where each class begins, and the number of files.
    """

    classes: tuple[str, ...]
    first: tuple[int, ...]
    _names: bytes  # each file's, followed by a NUL
    _ends: np.ndarray  # unsigned [files], where that NUL is

    @property
    def digest(self) -> bytes:
        """SHA-256 of the names of classes and files, and of which file is of which class."""
        lines = [*self.classes, *map(str, self.first)]
        return hashlib.sha256(b"\0".join(map(os.fsencode, lines)) + b"\0" + self._names).digest()

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[int, str]:
        start = int(self._ends[index - 1]) + 1 if index else 0
        name = self._names[start : int(self._ends[index])]
        return bisect.bisect_right(self.first, index) - 1, os.fsdecode(name)


@dataclasses.dataclass(frozen=True)
class _Listing:
    """Images of one class.

    Attributes:
      times: of the directory before it was listed, `_UNSETTLED` where that proves nothing.
      names: each followed by a NUL.
    """

    times: tuple[int, int]
    names: bytes | memoryview


def index_folder(root: pathlib.Path) -> FolderIndex:
    """List the images in the directories of `root`, or take from the cache what has not changed.

    Raises:
      UserError: a directory cannot be read.
    """
    cache = _cache_file(root)
    remembered = _load(cache, root) if cache else {}
    try:
        listings = {name: _list(root / name, remembered.get(name)) for name in _class_directories(root)}
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be listed: {error.strerror}; make it readable or remove it."
        ) from error
    if cache and any(
        each.times != _UNSETTLED and each is not remembered.get(name) for name, each in listings.items()
    ):
        _save(cache, root, listings)
    return _join(listings)


def _class_directories(root: pathlib.Path) -> list[str]:
    """Names of the directories in `root`, sorted."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _list(directory: pathlib.Path, remembered: _Listing | None) -> _Listing:
    now = time.time_ns()
    status = directory.stat()
    # ctime as well: whoever unpacks or synchronises sets mtime to what it was elsewhere.
    times = (status.st_mtime_ns, status.st_ctime_ns)
    if remembered and remembered.times == times:
        return remembered
    # File systems without a directory time say 0, or now.
    settled = 0 < status.st_mtime_ns < now - _SETTLED_NS
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if _is_image(entry.name) and _may_be_file(entry))
    return _Listing(times if settled else _UNSETTLED, b"".join(os.fsencode(name) + b"\0" for name in names))


def _is_image(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(_SUFFIXES) and lower not in IMAGE_SUFFIXES


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Tell regular files, and what cannot be known to be something else, such as a link to nowhere.

    The latter are better named when they are read than left out in silence.
    """
    try:
        # The listing itself tells it of everything but links.
        return entry.is_file() or (entry.is_symlink() and not pathlib.Path(entry.path).exists())
    except OSError:
        return True


def _join(listings: dict[str, _Listing]) -> FolderIndex:
    names = b"".join(each.names for each in listings.values())
    ends = np.flatnonzero(np.frombuffer(names, np.uint8) == 0)
    edges = list(itertools.accumulate((len(each.names) for each in listings.values()), initial=0))
    return FolderIndex(
        classes=tuple(listings),
        first=tuple(np.searchsorted(ends, edges).tolist()),
        _names=names,
        _ends=ends.astype(np.min_scalar_type(len(names))),
    )


def _cache_file(root: pathlib.Path) -> pathlib.Path | None:
    try:
        directory = platformdirs.user_cache_path("flax_googlenet") / "image_folders"
    except RuntimeError:  # the user of a container may have no home
        return None
    if not directory.is_absolute():  # which older versions of platformdirs answer so
        return None
    return directory / f"{hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:32]}.npz"


def _stamp(root: pathlib.Path) -> np.ndarray:
    return _array(f"{_FORMAT} {root.absolute()}")


def _array(text: str) -> np.ndarray:
    return np.frombuffer(os.fsencode(text), np.uint8)


def _load(cache: pathlib.Path, root: pathlib.Path) -> dict[str, _Listing]:
    """What is remembered of each class; nothing, if the cache is not there or not sound."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # CRCs are checked
            if not np.array_equal(arrays["stamp"], _stamp(root)):
                return {}
            classes = os.fsdecode(arrays["classes"].tobytes()).split("\0")
            times = [(mtime, ctime) for mtime, ctime in arrays["times"].tolist()]
            sizes, names = arrays["sizes"].tolist(), memoryview(arrays["names"])
            edges = itertools.pairwise(itertools.accumulate(sizes, initial=0))
            listings = [_Listing(each, names[a:b]) for each, (a, b) in zip(times, edges, strict=True)]
            remembered = dict(zip(classes, listings, strict=True))
    except Exception:  # whatever it is: then everything is listed
        return {}
    with contextlib.suppress(OSError):
        cache.touch()  # `_save` removes those that are not used
    return remembered


def _save(cache: pathlib.Path, root: pathlib.Path, listings: dict[str, _Listing]) -> None:
    """Replace the cache in one go, as others may be using it; or not, if that cannot be done."""
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(
                    file,
                    stamp=_stamp(root),
                    classes=_array("\0".join(listings)),
                    times=np.array([each.times for each in listings.values()], np.int64),
                    sizes=np.array([len(each.names) for each in listings.values()], np.int64),
                    names=np.frombuffer(b"".join(each.names for each in listings.values()), np.uint8),
                )
            pathlib.Path(temporary).replace(cache)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
        # A job that unpacks its data at a new place each time must not fill the user's home.
        for each in sorted(cache.parent.iterdir(), key=_age)[_KEPT_CACHES:]:
            each.unlink(missing_ok=True)


def _age(file: pathlib.Path) -> int:
    return -file.stat().st_mtime_ns
