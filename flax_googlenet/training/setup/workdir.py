"""The directory of a run."""

from etils import epath
from ml_collections import FrozenConfigDict

from flax_googlenet.checkpoints import Checkpoints
from flax_googlenet.distributed import check_shared, process_index
from flax_googlenet.errors import UserError
from flax_googlenet.paths import check_writable, explaining_bucket_errors, make_directory


def open_checkpoints(config: FrozenConfigDict, root: epath.Path) -> Checkpoints:
    """Create the workdir, check that it can be written to, and open its checkpoints."""
    try:
        if process_index() == 0:
            make_directory(root)
        with explaining_bucket_errors(root, "write"):
            check_shared(root)
            check_writable(root)
    except OSError as error:
        raise UserError(
            f"Cannot write to the workdir {root}: {error.strerror}; choose another workdir."
        ) from error
    return Checkpoints(root, keep_last=config.checkpoint.keep_last, keep_best=config.checkpoint.keep_best)
