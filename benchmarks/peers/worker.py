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


def _device(config):
    return {"cpu": "cpu", "gpu": "cuda"}[config["device"]]


def _set_precision(config):
    if config["dtype"] == "tf32":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True


def _load(config):
    """Returns the network, random clips and the clip as text; layout as `layout` names it."""
    torch.manual_seed(0)
    _set_precision(config)
    # Of the kernels of a convolution the fastest, by trial.
    torch.backends.cudnn.benchmark = True
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
    device = _device(config)
    return network.to(device), clips.to(device), f"{frames} x {size} x {size}"


def _autocast(config):
    enabled = config["dtype"] == "bfloat16"
    return torch.autocast(_device(config), torch.bfloat16, enabled=enabled)


def _gpu_facts():
    def memory():
        return torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()

    def wait(result):
        torch.cuda.synchronize()

    device = torch.cuda.get_device_name()
    return {"memory": memory, "wait": wait, "profile": _profile, "device": device}


def _profile(function):
    """Returns the seconds of each kernel on a GPU in a call of a function."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        function()
    found = profiler.key_averages()
    return {event.key: event.self_device_time_total / 1e6 for event in found}


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
    if config["device"] == "gpu":
        facts |= _gpu_facts()
    make = _training_step if config["task"] == "training" else _inference
    return make(config, network, function, clips), facts


def _inference(config, network, function, clips):
    network.eval()

    def infer():
        # Not `inference_mode`, in which weights are not frozen.
        with torch.no_grad(), _autocast(config):
            return torch.softmax(function(clips).float(), -1).cpu()

    return infer


def _training_step(config, network, function, clips):
    network.train()
    labels = torch.randint(CLASSES, (len(clips),), device=clips.device)
    is_gpu = config["device"] == "gpu"
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=True
    )

    def step():
        optimizer.zero_grad(set_to_none=True)
        with _autocast(config):
            loss = F.cross_entropy(function(clips).float(), labels)
        loss.backward()
        optimizer.step()
        # On a GPU, the next step need not wait for it.
        return loss if is_gpu else loss.item()

    return step


def export(config):
    """Writes the network as an ONNX file, as PyTorch itself does."""
    network, clips, _ = _load(config)
    path = pathlib.Path(config["folder"]) / config["file"]
    torch.onnx.export(network.eval(), (clips,), str(path), dynamo=True, external_data=False)
    return (lambda: None), VERSIONS


def matrix(config):
    """The product of two square matrices: the rate that the machine reaches."""
    is_gpu, shape = config["device"] == "gpu", (config["matrix"], config["matrix"])
    _set_precision(config)
    a, b = (torch.randn(shape, device=_device(config)) for _ in range(2))
    if config["dtype"] == "bfloat16":
        a, b = a.bfloat16(), b.bfloat16()
    if is_gpu:
        return (lambda: a @ b), {**VERSIONS, **_gpu_facts()}
    return (lambda: (a @ b)[0, 0].item()), VERSIONS


MAKERS = {"torch-export": export, "torch-matrix": matrix}

if __name__ == "__main__":
    serve(lambda config: MAKERS.get(config["contender"], run)(config))
