"""`launch.inspect` as a process of its own, on the checkpoint of a real run."""

import pathlib

import pytest

from tests.support.commands import error_of, result_of

pytestmark = pytest.mark.slow


def test_pictures_of_a_trained_network(launch, trained, tmp_path):
    process = launch(
        "inspect",
        f"--checkpoint={trained}",
        f"--out={tmp_path}",
        "--pictures=filters,heads,grad_cam,nearest",
        "--class=7",
        "--candidates=20",
        "docs/seven.png",
    )
    result = result_of(process)
    assert result["left_out"] == {}
    files = [pathlib.Path(file).relative_to(tmp_path) for file in result["files"]]
    of_the_image = [
        pathlib.Path("01_seven") / f"{name}.png" for name in ("image", "heads", "grad_cam", "nearest")
    ]
    assert files == [pathlib.Path("filters.png"), *of_the_image, pathlib.Path("contact_sheet.png")]
    for file in files:
        assert (tmp_path / file).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pictures=gradcam", "docs/seven.png"], 'There is no picture "gradcam"; did you mean "grad_cam"?'),
        (["--class=seven", "docs/seven.png"], 'There is no class "seven"; choose from "0", "1", '),
        (["--layer=inception_9z", "docs/seven.png"], 'no layer "inception_9z" with feature maps'),
        (["gone.png"], "gone.png cannot be read: No such file or directory; check the path."),
        (["--config.data.source=image_folder", "--config.data.path=/gone", "docs/seven.png"], "/gone"),
    ],
)
def test_a_mistake_is_one_sentence(run_here, trained, tmp_path, arguments, words):
    process = run_here("inspect", f"--checkpoint={trained}", f"--out={tmp_path / 'out'}", *arguments)
    assert words in error_of(process)
    assert not (tmp_path / "out").exists()
