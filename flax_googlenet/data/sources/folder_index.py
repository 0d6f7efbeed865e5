"""The index of an image folder: the files of each class directory, listed once and cached.

The cache is in the user's cache directory, never beside the images. A directory's times change
when a file in it is added, removed or renamed, so one `stat` per class shows which classes must be
listed again. If the cache is missing or corrupt, every class is listed.
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

# The stamp of a cache. It changes with the layout, the suffixes and the kinds of files that are
# listed, so that older caches are not read. Version 1 listed FIFOs and directories.
_FORMAT = f"flax_googlenet folder index 2 {sorted(IMAGE_SUFFIXES)}"

# A directory that changed shortly before it was listed may change again without a new time, because
# file systems round times to up to 2 s (FAT) and a file server's clock may differ.
_SETTLED_NS = 60 * 10**9
_UNSETTLED = (-1, -1)  # differs from the times of every directory

_KEPT_CACHES = 32


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """Image files, sorted by class and then by name.

    `index[i]` is the label and the file name of image i. The index takes 25 bytes per file of
    ImageNet; paths as strings would take 380.

    Attributes:
      classes: the names of the class directories.
      first: the index of the first image of each class, and the number of images as the last item.
    """

    classes: tuple[str, ...]
    first: tuple[int, ...]
    _names: bytes  # all file names, each followed by a NUL
    _ends: np.ndarray  # unsigned [files], the positions of the NULs

    @property
    def digest(self) -> bytes:
        """SHA-256 of the names of all classes and files, and of the class of each file."""
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
    """The images of one class.

    Attributes:
      times: the times of the directory before it was listed; `_UNSETTLED` if they are too recent
        to tell whether it has changed since.
      names: the file names, each followed by a NUL.
    """

    times: tuple[int, int]
    names: bytes | memoryview


def index_folder(root: pathlib.Path) -> FolderIndex:
    """List the images in the class directories of `root`, using the cache for unchanged directories.

    Raises:
      UserError: if a directory cannot be read.
    """
    cache = _cache_file(root)
    cached = _load(cache, root) if cache else {}
    try:
        listings = {name: _list(root / name, cached.get(name)) for name in _class_directories(root)}
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be listed: {error.strerror}; make it readable or remove it."
        ) from error
    if cache and any(
        listing.times != _UNSETTLED and listing is not cached.get(name) for name, listing in listings.items()
    ):
        _save(cache, root, listings)
    return _join(listings)


def _class_directories(root: pathlib.Path) -> list[str]:
    """Return the names of the directories in `root`, sorted."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _list(directory: pathlib.Path, cached: _Listing | None) -> _Listing:
    """List the images of a class, unless the cached listing is still valid."""
    now = time.time_ns()
    status = directory.stat()
    # Tools that unpack or synchronize files may reset mtime, but not ctime.
    times = (status.st_mtime_ns, status.st_ctime_ns)
    if cached and cached.times == times:
        return cached
    # File systems that do not keep times of directories report 0 or the present.
    settled = 0 < status.st_mtime_ns < now - _SETTLED_NS
    with os.scandir(directory) as entries:
        names = sorted(entry.name for entry in entries if _is_image(entry.name) and _may_be_file(entry))
    return _Listing(times if settled else _UNSETTLED, b"".join(os.fsencode(name) + b"\0" for name in names))


def _is_image(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(_SUFFIXES) and lower not in IMAGE_SUFFIXES


def _may_be_file(entry: os.DirEntry[str]) -> bool:
    """Return whether a directory entry may be an image file.

    Broken links count, so that reading them names them in an error.
    """
    try:
        # The listing includes the kind of all entries except links, so most files need no `stat`.
        return entry.is_file() or (entry.is_symlink() and not pathlib.Path(entry.path).exists())
    except OSError:
        return True


def _join(listings: dict[str, _Listing]) -> FolderIndex:
    names = b"".join(listing.names for listing in listings.values())
    ends = np.flatnonzero(np.frombuffer(names, np.uint8) == 0)
    edges = list(itertools.accumulate((len(listing.names) for listing in listings.values()), initial=0))
    return FolderIndex(
        classes=tuple(listings),
        first=tuple(np.searchsorted(ends, edges).tolist()),
        _names=names,
        _ends=ends.astype(np.min_scalar_type(len(names))),
    )


def _cache_file(root: pathlib.Path) -> pathlib.Path | None:
    try:
        directory = platformdirs.user_cache_path("flax_googlenet") / "image_folders"
    except RuntimeError:  # in a container the user may have no home directory
        return None
    if not directory.is_absolute():  # older versions of platformdirs then return a relative path
        return None
    return directory / f"{hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:32]}.npz"


def _stamp(root: pathlib.Path) -> np.ndarray:
    return _array(f"{_FORMAT} {root.absolute()}")


def _array(text: str) -> np.ndarray:
    return np.frombuffer(os.fsencode(text), np.uint8)


def _load(cache: pathlib.Path, root: pathlib.Path) -> dict[str, _Listing]:
    """Return the cached listings by class, or an empty dictionary if the cache is missing or corrupt."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # CRCs are checked
            if not np.array_equal(arrays["stamp"], _stamp(root)):
                return {}
            classes = os.fsdecode(arrays["classes"].tobytes()).split("\0")
            times = [(mtime, ctime) for mtime, ctime in arrays["times"].tolist()]
            sizes, names = arrays["sizes"].tolist(), memoryview(arrays["names"])
            edges = itertools.pairwise(itertools.accumulate(sizes, initial=0))
            listings = [
                _Listing(pair, names[start:end]) for pair, (start, end) in zip(times, edges, strict=True)
            ]
            cached = dict(zip(classes, listings, strict=True))
    except Exception:  # corrupt archives raise errors of many kinds
        return {}
    with contextlib.suppress(OSError):
        cache.touch()  # `_save` removes the least recently used caches
    return cached


def _save(cache: pathlib.Path, root: pathlib.Path, listings: dict[str, _Listing]) -> None:
    """Replace the cache atomically, since other processes may read it. Write errors are ignored."""
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=cache.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(
                    file,
                    stamp=_stamp(root),
                    classes=_array("\0".join(listings)),
                    times=np.array([listing.times for listing in listings.values()], np.int64),
                    sizes=np.array([len(listing.names) for listing in listings.values()], np.int64),
                    names=np.frombuffer(b"".join(listing.names for listing in listings.values()), np.uint8),
                )
            pathlib.Path(temporary).replace(cache)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
        # Without a limit, jobs that unpack their data to new directories would fill the home directory.
        newest_first = sorted(cache.parent.iterdir(), key=lambda file: -file.stat().st_mtime_ns)
        for unused in newest_first[_KEPT_CACHES:]:
            unused.unlink(missing_ok=True)
