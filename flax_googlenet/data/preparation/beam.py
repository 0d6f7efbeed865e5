"""Apache Beam, which runs those builders of TFDS that are pipelines."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from flax_googlenet.errors import UserError, missing_package


@dataclasses.dataclass(frozen=True)
class Beam:
    """The runner of Apache Beam for builders that are pipelines.

    Attributes:
      runner: name of the runner, such as "DirectRunner"; "" for none.
      options: options of the pipeline without leading dashes, such as "project=P".
    """

    runner: str = ""
    options: Sequence[str] = ()


def pipeline_options(beam: Beam) -> Any | None:
    """Return Apache Beam's options for a runner, or None without a runner.

    Raises:
      UserError: if Apache Beam is not installed, or the runner is unknown.
    """
    if not beam.runner:
        if beam.options:
            raise UserError(
                "beam_options have no effect without a beam_runner; set one, such as DirectRunner."
            )
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.runner import create_runner
    except ImportError as error:
        raise missing_package("A Beam runner", "apache_beam", "prepare") from error
    try:
        create_runner(beam.runner)
    except (ValueError, ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"beam_runner={beam.runner} cannot be used: {reason}") from error
    return PipelineOptions([f"--{option}" for option in beam.options])


def were_used(options: Any) -> bool:
    """Return whether TFDS made a pipeline with these options, which disables their type check."""
    from apache_beam.options.pipeline_options import TypeOptions

    return not options.view_as(TypeOptions).pipeline_type_check
