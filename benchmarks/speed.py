"""Latency, clips a second and memory of inference and of a training step, against PyTorch.

    python -m benchmarks.speed inference --peer-python PEERS/bin/python --no-extra
    python -m benchmarks.speed training --peer-python PEERS/bin/python --no-extra --dtype bfloat16
    python -m benchmarks.speed training --peer-python PEERS/bin/python --families
    python -m benchmarks.speed inference --contenders tensorflow litert litert-int8
    python -m benchmarks.speed training --device gpu --batch 8 --calls 20 --dtype tf32 \\
        --peer-python python

Each contender is a process of its own, with its own memory; all are measured by turns on random
clips. PEERS is an environment with `pip install torch torchvision onnx onnxscript`; without
`--peer-python` PyTorch is left out. On a GPU our network runs on JAX, TensorFlow is not needed,
and the memory is that of the device.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile

from benchmarks import flags, reports
from benchmarks.contenders import CONTENDERS, DTYPES, PEER_FILE, needs_peers, suitable
from benchmarks.turns import race
from smallbig_keras.cli.models import format_table

# Frames of a clip of each.
FAMILIES = {
    "S3DG": 16,
    "VoV3DM": 16,
    "TSMR50": 8,
    "NonLocalR50": 8,
    "CoSTR50": 8,
    "SlowOnlyR50": 8,
}
# Pixels and clips of a step.
SIZES = {"inference": (224, 1), "training": (112, 4)}


def parse(arguments=None):
    """Returns the arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=SIZES)
    network = parser.add_argument_group("network and clip")
    network.add_argument(
        "--model", type=flags.model, default="SmallBigR50", help="default: %(default)s"
    )
    network.add_argument("--no-extra", action="store_true", help="without extra units")
    network.add_argument(
        "--options", type=json.loads, default={}, help="JSON, of the network and its twin"
    )
    network.add_argument("--frames", type=flags.count, default=8)
    network.add_argument("--size", type=flags.count, help="default: 224, in training 112")
    network.add_argument("--batch", type=flags.count, help="default: 1, in training 4")
    network.add_argument(
        "--dtype",
        choices=sorted({d for ds in DTYPES.values() for d in ds}),
        help="default: float32, on a GPU bfloat16",
    )
    network.add_argument(
        "--families",
        nargs="*",
        choices=FAMILIES,
        metavar="NAME",
        help="our other networks against their twins, all or those named",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        metavar="NAME",
        help=f"of {', '.join(CONTENDERS)}; default: all that do the task",
    )
    run.add_argument(
        "--peer-python",
        type=flags.program,
        metavar="FILE",
        help="python of the environment with PyTorch",
    )
    run.add_argument("--device", default="cpu", choices=DTYPES, help="default: %(default)s")
    run.add_argument(
        "--kernels", action="store_true", help="also list those of a GPU that take most time"
    )
    run.add_argument("--rounds", type=flags.count, default=11, help="default: %(default)s")
    run.add_argument("--calls", type=flags.count, default=1, help="that are timed together")
    run.add_argument("--matrix", type=flags.count, default=4096, help="side of the matrix product")
    run.add_argument(
        "--exports", metavar="FOLDER", help="keep the exported files, and take those that are there"
    )
    flags.add_output(run)
    args = parser.parse_args(arguments)
    size, batch = SIZES[args.task]
    args.size, args.batch = args.size or size, args.batch or batch
    args.dtype = args.dtype or DTYPES[args.device][0]
    if args.dtype not in DTYPES[args.device]:
        parser.error(f"on a {args.device}, --dtype is one of {', '.join(DTYPES[args.device])}")
    allowed = suitable(args.task, args.dtype, args.device)
    unfit = [name for name in args.contenders or () if name not in allowed]
    if unfit:
        parser.error(
            f"{', '.join(unfit)} has no {args.task} in {args.dtype} on a {args.device}: "
            f"take of {', '.join(allowed)}"
        )
    if args.families is not None and (args.device == "gpu" or not args.peer_python):
        parser.error("--families compares with PyTorch on a processor: give --peer-python")
    args.contenders = args.contenders or allowed
    without = [name for name in args.contenders if needs_peers(name) and not args.peer_python]
    if without:
        say(f"without --peer-python these are left out: {', '.join(without)}")
    args.contenders = [name for name in args.contenders if name not in without]
    return args


def say(text):
    """Progress is no part of the table."""
    print(text, file=sys.stderr, flush=True)


def shared_config(args):
    """Returns the configuration that all contenders of a run share."""
    names = ("task", "model", "frames", "size", "batch", "dtype", "matrix", "device")
    names += ("calls", "kernels")
    config = {name: getattr(args, name) for name in names}
    config["options"] = {**args.options, **({"extra": None} if args.no_extra else {})}
    config["twin"] = {**args.options, **({"extra": False} if args.no_extra else {})}
    return config


def entry(name, config, peer_python, is_peer=None):
    """Returns the command and the configuration of a contender's process."""
    row = CONTENDERS.get(name)
    is_peer = row.is_peer if is_peer is None else is_peer
    command = [sys.executable, "-m", "benchmarks.engines"]
    if is_peer:
        command = [peer_python, "-m", "benchmarks.peers.worker"]
    own = {**row.config, "file": row.file} if row else {}
    return command, {**config, **own, "contender": name}


def prepare(names, config, peer_python):
    """Writes the files that contenders run; returns what our network is, and failed files."""
    files = {CONTENDERS[name].file for name in names} - {None, PEER_FILE}
    # One process a file: an engine that is not installed takes no other with it.
    jobs = {
        file: entry("prepare", {**config, "exports": [file]}, None, False) for file in sorted(files)
    }
    jobs["counts"] = entry("prepare", {**config, "exports": []}, None, False)
    if any(CONTENDERS[name].file == PEER_FILE for name in names):
        jobs[PEER_FILE] = entry("torch-export", {**config, "file": PEER_FILE}, peer_python, True)
    made = {}
    for file, job in jobs.items():
        if not (pathlib.Path(config["folder"]) / file).exists():
            made |= race({file: job}, 0, say)
    return made


def compare(args, names, config):
    """Runs contenders; returns their results and the multiply-adds of our network."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(args.exports or folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        config = {**config, "folder": str(folder)}
        made = prepare(names, config, args.peer_python)
        failed = {n for n in names if CONTENDERS[n].file in made and made[CONTENDERS[n].file].error}
        entries = {n: entry(n, config, args.peer_python) for n in names if n not in failed}
        # A GPU is idle while contenders compile.
        found = race(entries, args.rounds, say, together=args.device == "gpu")
    for name in failed:
        found[name] = made[CONTENDERS[name].file]
    counts = made["counts"]
    if counts.error:
        raise SystemExit(f"the network cannot be built: {counts.error}")
    reports.check_twins(found)
    return {name: found[name] for name in names}, counts.facts["macs"]


def as_data(results):
    """Returns the results as JSON has them."""
    return {name: dataclasses.asdict(result) for name, result in results.items()}


def run_speed(args, config):
    """Compares the contenders of one network; returns the parts of a report."""
    results, macs = compare(args, args.contenders, config)
    rate = reports.matrix_rate(results, args.matrix)
    clips = f"{args.batch} x {args.frames} x {args.size} x {args.size}"
    extra = " without extra units" if args.no_extra else ""
    title = f"{args.task.capitalize()} of {args.model}{extra}, {clips}, {args.dtype}"
    together = f" of {args.calls} calls each" if args.calls > 1 else ""
    note = f"{args.rounds} rounds by turns{together} on random clips; "
    note += f"{2 * macs / 1e9:.1f} GFLOP a clip"
    note += ", a step counted as three times that." if args.task == "training" else "."
    if rate:
        note += f" Best matrix product: {rate / 1e9:.0f} GFLOP/s."
    for device in sorted({r.facts["device"] for r in results.values() if "device" in r.facts}):
        note += f" On one {device}."
    rows = reports.speed_rows(results, config, macs)
    data = {"macs": macs, "matrix_rate": rate, "results": as_data(results)}
    return title, note, rows, data, [results], reports.draw_speed(results, title)


def run_families(args, config):
    """Compares each family with its twin; returns the parts of a report."""
    found = []
    for name in args.families or FAMILIES:
        frames = FAMILIES[name]
        own = {**config, "model": name, "frames": frames, "options": {}, "twin": {}}
        pair = ("tensorflow", "torch-channels-last")
        entries = {side: entry(side, own, args.peer_python) for side in pair}
        clip = f"{args.batch} x {frames} x {args.size} x {args.size}"
        say(name)
        results = race(entries, args.rounds, say)
        reports.check_twins(results)
        found.append((name, clip, results))
    title = f"{args.task.capitalize()} of the other networks, {args.dtype}"
    note = f"{args.rounds} calls by turns on random clips, TensorFlow graph and channels-last."
    data = {"results": {name: as_data(results) for name, _, results in found}}
    groups = [results for *_, results in found]
    draw = reports.draw_families(found, title)
    return title, note, reports.family_rows(found), data, groups, draw


def main(arguments=None):
    args = parse(arguments)
    config = shared_config(args)
    run = run_speed if args.families is None else run_families
    title, note, rows, data, groups, draw = run(args, config)
    about = {
        "title": title,
        "note": note,
        "command": reports.describe_command("speed", arguments),
        "versions": reports.versions(groups),
        "settings": config,
    }
    table = format_table(rows, markdown=True)
    if args.kernels:
        table += "".join(reports.kernel_tables(groups))
    failed = [f"- {line}" for results in groups for line in reports.failures(results)]
    table = "\n".join([table, *([""] if failed else []), *failed])
    print(f"{title}. {note}\n\n{table}")
    if all(result.error for results in groups for result in results.values()):
        raise SystemExit("no contender could be measured")
    if args.output:
        reports.write(args.output, {**about, **data}, table, draw)


if __name__ == "__main__":
    main()
