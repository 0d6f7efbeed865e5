"""Builders of TFDS: the same images without and with Apache Beam, and a data set without images."""

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.imagenet_tars.tars import random_crop
from benchmarks.photographs import photographs

COUNT = 40


def encoded_image(index: int) -> bytes:
    return random_crop(photographs()[index % 2][::8, ::8], np.random.RandomState(index))


def example(index: int) -> tuple[str, dict]:
    return f"image_{index}", {"image": encoded_image(index), "label": index % 2, "id": f"image_{index}"}


class Photographs(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=["china", "flower"]),
                    "id": tfds.features.Text(),
                }
            )
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"train": self._generate_examples(COUNT), "test": self._generate_examples(10)}

    def _generate_examples(self, count):
        for index in range(count):
            yield example(index)


class PhotographsByBeam(Photographs):
    def _generate_examples(self, count):
        import apache_beam as beam

        return beam.Create(range(count)) | beam.Map(example)


class Words(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()})
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield "a", {"text": "b"}
