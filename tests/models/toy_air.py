"""A model small enough to be enumerated: two steps with one latent each, images of two pixels, float64."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.normal import Gaussian
from inverse_graphics.halting import Step
from inverse_graphics.models.air import InitialState, ObjectStep
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered

PRIOR = Gaussian(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
OBSERVATION_MODEL = GaussianModel(0.7)
LOG_COUNT_PRIOR = truncated_geometric(-0.8, 2).double()


class ToyLatents(NamedTuple):
    """One object's latent (B, 1), and what it was drawn from."""

    value: Tensor
    posterior: Gaussian


class ToyAir(nn.Module):
    """Two steps with one latent each; later presences and posteriors depend on earlier latents.

    theta: 0 to 5 are of the posteriors, 6 of what is drawn.
    """

    max_objects = 2
    observation_model = OBSERVATION_MODEL

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.theta = nn.Parameter(torch.randn(7, generator=generator, dtype=torch.float64) * 0.7)

    def begin(self, images, sampler):
        del sampler
        state = images, torch.zeros(len(images), 1, dtype=torch.float64)
        return InitialState(state, 0.1 * images.flatten(1).sum(-1).abs())

    def heads(self, images, previous):
        """Presence logit (B,) and posterior (B, 1) of the next object, given the previous latent."""
        t, seen = self.theta, images.flatten(1).sum(-1, keepdim=True)
        logit = t[0] + t[1] * previous[:, 0] + 0.3 * seen[:, 0]
        mean = t[2] + t[3] * previous + t[4] * seen
        return logit, Gaussian(mean, torch.nn.functional.softplus(t[5] + 0.4 * previous) + 0.2)

    def step(self, state, sampler):
        images, previous = state
        logit, posterior = self.heads(images, previous)
        z = sampler(posterior)
        return Step(-logit, ObjectStep(ToyLatents(z, posterior), posterior.kl_to(PRIOR)), (images, z))

    def log_ratio_shared(self, initial):
        """What all objects share is known: it only costs."""
        return 0.1 * initial[0].flatten(1).sum(-1).abs()

    def log_ratio(self, step):
        """log q − log p of a latent as it was drawn: (B,)."""
        z, posterior = step.latents
        return posterior.log_prob(z) - PRIOR.log_prob(z)

    def draw(self, latents):
        """The image (B, 1, 1, 2) of some latents, each (B, 1)."""
        template = torch.stack([torch.ones_like(self.theta[6]), self.theta[6]])
        parts = [torch.tanh(z)[:, :, None, None] * template for z in latents]
        return sum(parts) if parts else torch.zeros(1, 1, 1, 2, dtype=torch.float64)

    def prefixes(self, objects):
        """Pictures of the first 0, 1 and 2 objects, (B, 1, 1, 2) each."""
        latents = [step.latents.value for step in objects]
        return [self.draw(latents[:n]).expand(len(latents[0]), 1, 1, 2) for n in range(len(latents) + 1)]

    def prefix_log_likelihoods(self, images, objects, likelihood=None):
        return torch.stack([log_likelihood(images, drawn) for drawn in self.prefixes(objects)], dim=-1)


def log_likelihood(images, drawn):
    """log p(images | drawn), leading axes broadcast."""
    return OBSERVATION_MODEL.log_prob(Observation(images), Rendered(drawn))


class FromNodes:
    """A sampler that takes given standard-normal numbers, one a step."""

    def __init__(self, noise):
        self.noise = iter(noise)

    def __call__(self, posterior):
        return posterior.mean + posterior.std * next(self.noise)
