"""Scripts in a process of their own."""

import os
import subprocess
import sys
import textwrap


def run_python(script, folder, backend="tensorflow", **variables):
    """Runs a script in `folder` on a backend of Keras; it must end well.

    Returns what it printed. `variables` are those of its environment.
    """
    # JAX compiles every operation, which takes longer than to run it.
    jax = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = {**os.environ, **jax, "KERAS_BACKEND": backend, **variables}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
