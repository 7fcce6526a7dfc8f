"""Whole runs of LAF and of CaMU on MNIST's shapes against PyTorch doing the same work as the papers' codes do.

    python benchmarks/laf_camu.py
    python benchmarks/laf_camu.py --images 60000 --laf-epochs 20 --rounds 1      the full size

The work is class removal with the CNN of 449,098 parameters and batches of 32: for LAF two VAEs (half as many epochs as
unlearning has), then unlearning; for CaMU the counterfactual set, then two epochs. PyTorch runs the extractor in every
step of the VAEs, as released; here its embeddings are made once. The images are random, a tenth of them is forgotten:
only time is measured. The first JAX run compiles: what that costs is printed apart. So is the time of the steps alone,
without reading back what was compiled: a fixed cost, which a run of the full size hardly notices. Set
OMP_WAIT_POLICY=passive as for step_time.py.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable

import numpy as np
from step_time import Case, Work, compare, print_machine, print_table

BATCH = 32
LATENT = 8


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images [N,28,28,1] and labels [N]."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
    return x, rng.integers(0, 10, count).astype(np.int32)


def jax_run(
    method: str, count: int, seconds: dict[str, list[dict[str, float]]], **config: object
) -> Work:
    """`seconds` gets what every run reports of itself."""
    import jax

    import junlearn
    from junlearn.models import MODELS

    component = MODELS["laf_cnn"]
    model = component.make(component.Config(), 10, (28, 28, 1))
    data = jax.device_put(junlearn.Data(*images(count)))
    variables = model.fresh(jax.random.key(0), {"train": data})

    def work() -> None:
        done = junlearn.unlearn(
            *(model, variables, data, np.arange(count // 10)),
            method=method,
            key=jax.random.key(1),
            **config,
        )
        seconds.setdefault(method, []).append(done.seconds)

    return work


def torch_problem(count: int):  # type: ignore[no-untyped-def]
    """A network, its copy as the teacher, and the images of the forget and of the retain set with their labels."""
    import copy

    import torch
    from torch_models import LafCnn

    torch.manual_seed(0)
    torch.set_flush_denormal(True)
    model = LafCnn()
    x, y = (torch.from_numpy(a) for a in images(count))
    x = x.permute(0, 3, 1, 2).float() / 255
    cut = count // 10
    return model, copy.deepcopy(model), (x[:cut], y[:cut].long()), (x[cut:], y[cut:].long())


def torch_laf(count: int, epochs: int) -> Work:
    import torch
    from torch import nn

    class Vae(nn.Module):
        """Encoder 256-128-32-(mu, log variance), decoder back with a sigmoid."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU()
            )
            self.mean, self.log_variance = nn.Linear(32, LATENT), nn.Linear(32, LATENT)
            self.decoder = nn.Sequential(
                nn.Linear(LATENT, 32),
                nn.ReLU(),
                nn.Linear(32, 128),
                nn.ReLU(),
                nn.Linear(128, 256),
                nn.Sigmoid(),
            )

        def forward(self, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            hidden = self.encoder(e)
            mean, deviation = self.mean(hidden), torch.exp(self.log_variance(hidden) / 2)
            return self.decoder(mean + deviation * torch.randn_like(mean)), mean, deviation

    def fit(vae: Vae, extractor: nn.Module, x: torch.Tensor) -> None:
        update = torch.optim.Adam(vae.parameters(), 1e-3)
        for _ in range(epochs // 2):
            for rows in torch.randperm(len(x)).split(BATCH):
                e = extractor(x[rows])
                output, mean, deviation = vae(e)
                variance = deviation**2
                kl = -0.5 * (torch.log(variance + 1e-8) + 1 - mean**2 - variance).sum(1).mean()
                loss = ((output - e) ** 2).sum(1).mean() + 0.025 * kl
                update.zero_grad()
                loss.backward()
                update.step()

    def spread(vae: Vae, e: torch.Tensor) -> torch.Tensor:
        s = ((vae(e)[0] - e) ** 2).sum(1)
        return torch.exp(s / (s + 1)).sum()

    def work() -> None:
        model, teacher, (x_f, _), (x_r, _) = torch_problem(count)
        extractor, frozen = model.extractor, teacher.extractor
        vae_r, vae_f = Vae(), Vae()
        fit(vae_r, extractor, torch.cat([x_f, x_r]))
        fit(vae_f, extractor, x_f)
        unlearn = torch.optim.Adam(model.parameters(), 5e-5)
        align = torch.optim.Adam(model.parameters(), 1e-4)
        cosine = nn.CosineSimilarity(eps=1e-6)
        for _ in range(epochs):
            pairs = zip(
                torch.randperm(len(x_f)).split(BATCH),
                torch.randperm(len(x_r)).split(BATCH),
                strict=False,
            )
            for f, r in pairs:
                unlearn.zero_grad()
                (spread(vae_r, extractor(x_r[r])) - spread(vae_f, extractor(x_f[f]))).backward()
                unlearn.step()
                align.zero_grad()
                a = 1 - cosine(extractor(x_r[r]), frozen(x_r[r]).detach())
                b = 1 - cosine(extractor(x_f[f]), frozen(x_f[f]).detach())
                (a.sum() - len(r) * torch.logsumexp(b / 20, 0)).backward()
                align.step()

    return work


def torch_camu(count: int) -> Work:
    import torch
    from torch.nn import functional as fn

    def divergence(target: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        logs = [torch.log_softmax(e, 1) for e in (output, target.detach())]
        return fn.kl_div(*logs, reduction="sum", log_target=True)

    def work() -> None:
        model, teacher, (x_f, _), (x_r, y_r) = torch_problem(count)
        sample = torch.randperm(len(x_r))[: len(x_f)]
        x_s, y_s = x_r[sample], y_r[sample]
        x_t, y_t = x_s + torch.rand_like(x_s), y_s
        represent = torch.optim.Adam(model.parameters(), 4e-4, weight_decay=1e-4)
        answer = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-4)
        for _ in range(2):
            orders = (torch.randperm(len(x_f)).split(BATCH) for _ in range(2))
            for f, r in zip(*orders, strict=True):
                represent.zero_grad()
                kept = divergence(teacher.extractor(x_s[r]), model.extractor(x_s[r]))
                moved = divergence(teacher.extractor(x_t[f]), model.extractor(x_f[f]))
                (0.5 * kept + 0.5 * moved).backward()
                represent.step()
                answer.zero_grad()
                wrong = fn.cross_entropy(model(x_f[f]), y_t[f])
                right = fn.cross_entropy(model(x_s[r]), y_s[r])
                (0.9 * right + 0.01 * wrong).backward()
                answer.step()

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description="whole LAF and CaMU runs, JAX against PyTorch")
    parser.add_argument("--images", type=int, default=6_400)
    parser.add_argument("--laf-epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    import jax
    import torch

    torch.set_num_threads(threads)
    print_machine(threads)
    count, epochs = arguments.images, arguments.laf_epochs
    seconds: dict[str, list[dict[str, float]]] = {}
    laf: Callable[[], Work] = lambda: jax_run(  # noqa: E731
        "laf", count, seconds, epochs=epochs, vae_epochs=epochs // 2
    )
    cases = [
        Case(name="LAF, VAEs included", jax=laf, torch=lambda: torch_laf(count, epochs)),
        Case(
            name="CaMU",
            jax=lambda: jax_run("camu", count, seconds),
            torch=lambda: torch_camu(count),
        ),
    ]
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        print_table(compare(cases, arguments.rounds))
    for method, (first, *others) in seconds.items():
        steps = statistics.median(run["run"] for run in others)
        print(f"{method}: {first['compile']:.1f} s compiling in the first run; steps {steps:.2f} s")


if __name__ == "__main__":
    main()
