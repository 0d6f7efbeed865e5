"""torchvision's GoogLeNet in PyTorch, trained on our batches by our schedule."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchvision
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict
from torch.nn import functional

from benchmarks.harness.torch_workload import start_torch
from benchmarks.peers.torch_networks import heads
from flax_googlenet.data import EvaluationBatches, Source, to_devices
from flax_googlenet.data.augmentation import normalize
from flax_googlenet.data.prefetch import DeviceBatch
from flax_googlenet.evaluation import metrics
from flax_googlenet.interop import layout
from flax_googlenet.interop.torchvision_weights import NAMES
from flax_googlenet.models import build_model
from flax_googlenet.models.initialization import initial_variables
from flax_googlenet.sharding import split_batch
from flax_googlenet.training.durations import make_timetable
from flax_googlenet.training.forward import augment_batch
from flax_googlenet.training.optimizer import build_schedule


class TorchNetwork:
    """A contender: torchvision's network and PyTorch's SGD.

    It takes our batches after our augmentation on the device, so mirroring and mixing are ours, too. Only
    dropout draws its own random numbers.
    """

    def __init__(
        self,
        config: FrozenConfigDict,
        train: Source,
        validation: Source,
        mesh: Mesh,
        *,
        own_initialization: bool,
    ) -> None:
        """Prepare what all seeds share.

        Args:
          config: a resolved config of the variant torchvision.
          train, validation: the two splits.
          mesh: the devices that augment and normalize.
          own_initialization: see `Row`.
        """
        self._config, self._mesh = config, mesh
        self._own_initialization = own_initialization
        self._device = start_torch()
        total = make_timetable(config, len(train)).total
        self._rate = jax.jit(build_schedule(config, total_steps=total, epoch_size=len(train)))
        size = min(config.evaluation.batch_size, len(validation))
        self._evaluated = EvaluationBatches(validation, config.data, -(-size // mesh.size) * mesh.size)

        def augment(batch: DeviceBatch, seed_key: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
            images, targets, _ = augment_batch(batch, jax.random.fold_in(seed_key, step), config)
            return images, targets

        self._augment = jax.jit(augment)
        self._normalize = jax.jit(lambda images: normalize(images, config.data))
        self._sums = jax.jit(metrics.sums)
        self._step = 0
        self._seed_key: jax.Array
        self._model: torch.nn.Module
        self._sgd: torch.optim.SGD

    def start(self, config: FrozenConfigDict) -> None:
        """See `Contender`."""
        self._step, self._seed_key = 0, jax.random.key(config.seed)
        torch.manual_seed(config.seed)
        model = torchvision.models.googlenet(
            weights=None,
            init_weights=self._own_initialization,
            aux_logits=True,
            transform_input=False,
            num_classes=config.model.num_classes,
            dropout=config.model.dropout,
            dropout_aux=config.model.aux_dropout,
        )
        if not self._own_initialization:
            load_our_weights(model, config)
        self._model = model.to(device=self._device, memory_format=torch.channels_last)
        decay, momentum = config.optimizer.weight_decay, config.optimizer.momentum
        kernels = [parameter for parameter in self._model.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in self._model.parameters() if parameter.ndim == 1]
        groups: list[dict[str, Any]] = [{"params": kernels, "weight_decay": decay}, {"params": others}]
        self._sgd = torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=config.optimizer.nesterov)

    def step(self, batch: DeviceBatch) -> float:
        """See `Contender`."""
        images, targets = self._augment(batch, self._seed_key, self._step)
        for group in self._sgd.param_groups:
            group["lr"] = float(self._rate(self._step))
        self._model.train()
        self._sgd.zero_grad(set_to_none=True)
        loss = self._loss(self._tensor(images), self._labels(targets))
        loss.backward()
        self._sgd.step()
        self._step += 1
        return loss.item()

    def evaluate(self) -> dict[str, Any]:
        """See `Contender`."""
        self._model.eval()
        batches = to_devices(self._evaluated, range(self._evaluated.steps), split_batch(self._mesh))
        total = {"top1": 0.0, "loss": 0.0, "num_examples": 0.0}
        with contextlib.closing(batches), torch.no_grad():
            for batch in batches:
                logits = self._model(self._tensor(self._normalize(batch["image"]))).float().cpu().numpy()
                sums = self._sums(jnp.asarray(logits), batch["label"], batch["mask"])
                total = {name: value + float(sums[name]) for name, value in total.items()}
        return {name: total[name] / total["num_examples"] for name in ("top1", "loss")}

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        smoothing = self._config.loss.label_smoothing
        main, *auxiliary = (
            functional.cross_entropy(logits, labels, label_smoothing=smoothing)
            for logits in heads(self._model(images))
        )
        return main + self._config.loss.aux_weight * sum(auxiliary)

    def _tensor(self, images: jax.Array) -> torch.Tensor:
        """Return images as a tensor whose memory is that of channels_last."""
        return torch.from_numpy(np.array(images)).to(self._device).permute(0, 3, 1, 2)

    def _labels(self, targets: jax.Array) -> torch.Tensor:
        array = np.array(targets)
        return torch.from_numpy(array.astype(np.int64) if array.ndim == 1 else array).to(self._device)


def load_our_weights(model: torch.nn.Module, config: FrozenConfigDict) -> None:
    """Give torchvision's network the initial weights that ours has with the seed of a config."""
    network = build_model(config.model)
    variables = initial_variables(network, config.model.initializer, config.seed, config.data.image_size)
    tensors = layout.to_tensors(variables, NAMES)
    state = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    counters = {name: value for name, value in model.state_dict().items() if "num_batches_tracked" in name}
    model.load_state_dict({**state, **counters}, strict=True)
