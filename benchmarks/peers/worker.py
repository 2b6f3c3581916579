"""PyTorch networks, each a contender of `benchmarks.turns`; needs nothing of this package.

python -m benchmarks.peers.worker '{"contender": "torch", "task": "inference", ...}'
"""

import os
import pathlib

# Threads that compile would stay, and their memory with them.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks.peers import networks  # noqa: E402
from benchmarks.turns import serve  # noqa: E402

CLASSES = 400
# Frames that networks of torchvision need at least.
FRAMES = {"s3d": 16, "mvit_v1_b": 16}
VERSIONS = {"versions": {"torch": torch.__version__}}


def _load(config):
    """Returns the network, random clips and the clip as text; layout as `layout` names it."""
    torch.manual_seed(0)
    name, size = config.get("network", config["model"]), config["size"]
    frames = max(config["frames"], FRAMES.get(name, 1))
    network = networks.build(name, frames, **config.get("twin", {}))
    clips = torch.randn(config["batch"], 3, frames, size, size)
    if config.get("layout") == "channels-last":
        clips = clips.to(memory_format=torch.channels_last_3d)
        # A 2-D network has its own.
        is_3d = any(isinstance(module, torch.nn.Conv3d) for module in network.modules())
        layout = torch.channels_last_3d if is_3d else torch.channels_last
        network = network.to(memory_format=layout)
    return network, clips, f"{frames} x {size} x {size}"


def _autocast(config):
    return torch.autocast("cpu", torch.bfloat16, enabled=config["dtype"] == "bfloat16")


def run(config):
    """A network at inference, or a step of its training."""
    network, clips, clip = _load(config)
    facts = {**VERSIONS, "clip": clip, "parameters": sum(p.numel() for p in network.parameters())}
    if "network" in config:
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network.eval()(clips[:1])
        facts["macs"] = counter.get_total_flops() // 2
    function = network
    if config.get("compile"):
        if config.get("freeze"):
            import torch._inductor.config as inductor

            inductor.freezing = True
        function = torch.compile(network)
    make = _training_step if config["task"] == "training" else _inference
    return make(config, network, function, clips), facts


def _inference(config, network, function, clips):
    network.eval()

    def infer():
        # Not `inference_mode`, in which weights are not frozen.
        with torch.no_grad(), _autocast(config):
            return torch.softmax(function(clips).float(), -1)

    return infer


def _training_step(config, network, function, clips):
    network.train()
    labels = torch.randint(CLASSES, (len(clips),))
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True
    )

    def step():
        optimizer.zero_grad(set_to_none=True)
        with _autocast(config):
            loss = F.cross_entropy(function(clips).float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def export(config):
    """Writes the network as an ONNX file, as PyTorch itself does."""
    network, clips, _ = _load(config)
    path = pathlib.Path(config["folder"]) / config["file"]
    torch.onnx.export(network.eval(), (clips,), str(path), dynamo=True, external_data=False)
    return (lambda: None), VERSIONS


def matrix(config):
    """The product of two square matrices: the rate that the machine reaches."""
    a, b = (torch.randn(config["matrix"], config["matrix"]) for _ in range(2))
    if config["dtype"] == "bfloat16":
        a, b = a.bfloat16(), b.bfloat16()
    return (lambda: (a @ b)[0, 0].item()), VERSIONS


MAKERS = {"torch-export": export, "torch-matrix": matrix}

if __name__ == "__main__":
    serve(lambda config: MAKERS.get(config["contender"], run)(config))
