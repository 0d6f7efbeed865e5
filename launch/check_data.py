"""Read every image of a data set and report corrupt images, decoder warnings, copies and class mismatches.

  python -m launch.check_data --config=FILE.py --out=REPORT
  python -m launch.check_data --config=configs/imagenet.py --config.data.path=DIR

Problems do not stop the check or make the command fail. The result counts them; REPORT receives
report.json, which lists them all, and class_histogram.png.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags
from etils import epath

from flax_googlenet.data import open_source
from flax_googlenet.data.checking.data_check import Copy, DataCheck, check_data
from flax_googlenet.data.checking.report import REPORT_FILE, save_report
from flax_googlenet.errors import UserError
from flax_googlenet.paths import check_writable, explaining_bucket_errors, make_directory, user_path
from flax_googlenet.progress import Progress
from launch.common import command

_OUT = flags.DEFINE_string("out", None, "Directory for report.json and class_histogram.png.")

_SHOWN = 20  # lines per kind of problem on the terminal


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    config = command.config()
    sources = {split: open_source(config.data, split) for split in ("train", "val")}
    out = user_path(_OUT.value) if _OUT.value else None
    if out:
        _write(out, lambda: make_directory(out))  # fail before hours of reading
        _write(out, lambda: check_writable(out))
    with Progress("reading", sum(map(len, sources.values()))) as progress:
        check = check_data(sources, workers=config.data.workers, progress=progress.advance)
    for line in _describe(check, config.model.num_classes):
        print(line, file=sys.stderr)
    result = {**check.figures(), "network_classes": config.model.num_classes}
    if out:
        _write(out, lambda: save_report(out, check, result))
        result["report"] = str(out / REPORT_FILE)
    return result


def _write(out: epath.Path, action: Callable[[], None]) -> None:
    try:
        with explaining_bucket_errors(out, "write"):
            action()
    except OSError as error:
        raise UserError(f"Cannot write to {out}: {error.strerror}; choose another --out.") from error


def _describe(check: DataCheck, network_classes: int) -> Iterator[str]:
    for split, split_check in check.splits.items():
        formats = ", ".join(f"{count} {name}" for name, count in split_check.formats.most_common())
        classes = len(check.class_names[split])
        yield f"{split}: {len(split_check)} images in {classes} classes; {formats or 'none that decodes'}"
        for name, side in split_check.side_summary().items():
            yield (
                f"{split}: {name.replace('_', ' ')} {side['smallest']} to {side['largest']} pixels, "
                f"median {side['median']:g}"
            )
    yield from _describe_classes(check, network_classes)
    yield from _list("Corrupt images", list(map(str, check.bad_images)))
    yield from _list("Images with decoder warnings", list(map(str, check.damaged_images)))
    yield from _list("Images whose label belongs to no class", list(map(str, check.labels_out_of_range)))
    yield from _list("Images that an earlier split contains too", [_same(*pair) for pair in check.leaks])
    yield from _list("Images that their split repeats", [_same(*pair) for pair in check.duplicates])


def _describe_classes(check: DataCheck, network_classes: int) -> Iterator[str]:
    train, val = (set(check.class_names[split]) for split in ("train", "val"))
    for split, unshared in (("train", train - val), ("val", val - train)):
        yield from _list(f"Classes of {split} only", sorted(unshared))
    if network_classes and network_classes != len(check.class_names["train"]):
        yield f"The data set has {len(check.class_names['train'])} classes and the network {network_classes}"


def _same(copy: Copy, first: Copy) -> str:
    differs = copy.class_name != first.class_name
    classes = f", of class {copy.class_name} and {first.class_name}" if differs else ""
    return f"{copy.split}: {copy.name} is {first.split}: {first.name}{classes}"


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield f"{title}: {len(lines)}"
    yield from (f"  {line}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"  and {len(lines) - _SHOWN} more" + ("" if _OUT.value else "; --out=DIR lists them all")


if __name__ == "__main__":
    command.run(main, default_config="configs/mnist_sample.py")
