"""What scripts need of PyPI, installed once below cargo's target: python3 packages.py TARGET PACKAGE==VERSION ...

Prints the virtual environment that has these packages. Each list of packages has one of its own.
"""

import os
import subprocess
import sys


def installed(target, packages, options=()):
    """The virtual environment with these packages. One that was not finished is begun again."""
    venv = f"{target}/ci/{'-'.join(packages).translate(str.maketrans('[]', '--')).replace('==', '-')}"
    finished = f"{venv}/finished"
    if not os.path.exists(finished):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [f"{venv}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # What is printed is the folder and nothing else.
        subprocess.run([*pip, *options, *packages], check=True, stdout=sys.stderr)
        with open(finished, "w", encoding="utf-8"):
            pass
    return venv


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    print(installed(sys.argv[1], sys.argv[2:]))
