"""Write tests/fixtures/gan.json: a small GAN of the DCGAN form, trained for some steps by PyTorch.

    pip install torch
    python make_gan.py ../fixtures/gan.json

Weights, images and noise are those of formulas that `tests/suite/gan.rs` has too. The steps are those of PyTorch's DCGAN
tutorial: the generator runs once a step, the discriminator three times, all in training mode.
"""

import json
import sys

import torch
from torch import nn

N, NOISE, STEPS = 5, 3, 4


def wave(shape, seed, scale):
    n = torch.tensor(shape).prod().item()
    at = torch.arange(n, dtype=torch.float64)
    return (scale * torch.sin(at * 1.7 + seed * 0.9)).float().reshape(shape)


def generator():
    return nn.Sequential(
        nn.ConvTranspose2d(NOISE, 4, 4, 1, 0, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator():
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 6, 4, 2, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 1, 2, 1, 0, bias=False),
    )


def main(path):
    torch.set_num_threads(1)
    model = nn.ModuleDict({"generator": generator(), "discriminator": discriminator()})
    for k, (name, p) in enumerate(model.named_parameters()):
        # Of normalisations the weights stay ones, the biases zeros.
        if p.dim() > 1:
            with torch.no_grad():
                p.copy_(wave(list(p.shape), k, 0.4))
    g, d = model["generator"], model["discriminator"]
    of = {k: torch.optim.Adam(model[k].parameters(), lr=0.01, betas=(0.5, 0.999)) for k in model}
    bce = nn.BCEWithLogitsLoss()
    steps = []
    for step in range(STEPS):
        real = wave([N, 1, 8, 8], 10 + step, 0.8)
        noise = wave([N, NOISE, 1, 1], 50 + step, 1.5)
        d.zero_grad()
        of_real = bce(d(real).flatten(), torch.ones(N))
        of_real.backward()
        fake = g(noise)
        of_fake = bce(d(fake.detach()).flatten(), torch.zeros(N))
        of_fake.backward()
        of["discriminator"].step()
        g.zero_grad()
        of_generator = bce(d(fake).flatten(), torch.ones(N))
        of_generator.backward()
        of["generator"].step()
        losses = [(of_real + of_fake).item(), of_generator.item()]
        state = {name: t.double().flatten().tolist() for name, t in model.state_dict().items()}
        if step not in (0, STEPS - 1):
            state = {name: state[name] for name in state if "running" in name}
        steps.append({"losses": losses, "state": state})
    with open(path, "w") as f:
        json.dump(steps, f, indent=None)
        f.write("\n")


main(sys.argv[1])
