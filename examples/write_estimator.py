"""Write a gradient estimator, test that it is unbiased, train with it.  Usage: write_estimator.py FOLDER"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from inverse_graphics.data.mnist import load_digits
from inverse_graphics.data.multi_object import MultiObjectImages
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, attend_infer_repeat
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.elbo import exact_count_elbo, prefix_bounds
from inverse_graphics.models.estimators.estimator import Estimate, Estimator
from inverse_graphics.models.estimators.exact import ExactCount


class LeaveOneOut:
    """Samples several counts per image; the baseline of each is the mean reward of the others (RLOO)."""

    helpers = None  # modules that are trained besides the model

    def __init__(self, model: AirModel, samples: int = 4) -> None:
        self.model, self.samples = model, samples

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Estimate the gradient of the bound: it is that of `objective`, (B,)."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        bounds, log_count = prefix_bounds(inference), inference.log_count  # (B, N + 1), of 0 … N objects
        counts = torch.multinomial(log_count.detach().exp(), self.samples, True, generator=generator)
        reward = (bounds - log_count + log_count_prior).detach().gather(1, counts)  # (B, K)
        baseline = (reward.sum(1, keepdim=True) - reward) / (self.samples - 1)
        score = ((reward - baseline) * log_count.gather(1, counts)).mean(1)
        objects = torch.lerp(bounds.mean(1), bounds.gather(1, counts).mean(1), warm_up_fraction)
        return Estimate(objects + score, exact_count_elbo(inference, log_count_prior))


def presence_gradient(estimator: Estimator, seed: int) -> Tensor:
    """One estimate of the gradient with respect to the weights that decide on the count."""
    estimate = estimator(batch, PRIOR, 1.0, torch.Generator().manual_seed(seed))
    return torch.autograd.grad(estimate.objective.mean(), network.presence.weight)[0].flatten()


torch.manual_seed(0)
network = Air2D(Air2DSettings.model_validate({"features": 16, "hidden": 32, "glimpse_hidden": 32}))
PRIOR = torch.full((network.max_objects + 1,), 0.25).log()  # of 0 to 3 objects
batch = torch.from_numpy(MultiObjectImages(load_digits("train", "shipped")).batch(16, 0, 0).images)[:, None]
estimators = LeaveOneOut(network), ExactCount(network)
own, exact = (torch.stack([presence_gradient(one, seed) for seed in range(200)]) for one in estimators)
standard_error = (own - exact).std(0) / len(own) ** 0.5
deviation = ((own - exact).mean(0) / standard_error).square().nanmean().sqrt()
report = f"deviation from the exact gradient: {deviation:.2f} standard errors; without a bias about 1\n"
report += f"variance: {own.var(0).sum() / exact.var(0).sum():.1f} times that of the enumerated count\n"
optimiser = torch.optim.Adam(network.parameters(), 1e-3)
for step in range(61):
    estimate = estimators[0](batch, PRIOR, 1.0, torch.Generator().manual_seed(step))
    optimiser.zero_grad()
    estimate.objective.mean().neg().backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    report += f"ELBO after {step} steps: {estimate.bound.elbo.mean():.1f} nats\n" if step % 20 == 0 else ""
Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
Path(sys.argv[1], "report.txt").write_text(report, encoding="utf-8")
print(report)
