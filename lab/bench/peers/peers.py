"""Runs the published example's job with this module and with its peers, in turns, each
pinned to one core, against one analyst dev on another. Prints medians and ratios.

It needs Go, Python 3.11 or later, Node 20 and taskset; PEERS_DIR keeps what it
installs. A target that is missed is printed as missed.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROUNDS, SESSIONS = int(os.environ.get("PEERS_ROUNDS", "3")), int(os.environ.get("PEERS_SESSIONS", "100"))
here = pathlib.Path(__file__).resolve().parent
root = here.parents[2]
keep = os.environ.get("PEERS_DIR")
temp = tempfile.TemporaryDirectory()
dir = pathlib.Path(keep or temp.name)


def install():
    dir.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", f"{dir}/", "./cmd/analyst", "./lab/bench/peers/ours", "./lab/bench/peers/byhand"], cwd=root, check=True)
    if not (dir / "venv").exists():
        subprocess.run([sys.executable, "-m", "venv", dir / "venv"], check=True)
        subprocess.run([dir / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", "google-adk==2.13.0", "lumoauth==1.1.0"], check=True)
    if not (dir / "node_modules").exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "@google/adk@2.0.0", "zod@4.1.12"], check=True)
    (dir / "peer.mjs").write_text((here / "javascript_peer.mjs").read_text())


def main():
    install()
    clients = {
        "ours, journal on disk": [dir / "ours", "journal"],
        "ours, no journal": [dir / "ours", "none"],
        "Python: google-adk 2.13.0, lumoauth 1.1.0": [dir / "venv/bin/python", here / "python_peer.py"],
        "JavaScript: @google/adk 2.0.0": ["node", dir / "peer.mjs"],
        "Go: adk/v2, by hand": [dir / "byhand"],
    }
    seen = {(name, k): [] for name in clients for k in (1, 20)}
    with tempfile.TemporaryDirectory() as work:
        env_file = pathlib.Path(work, "dev.env")
        dev = subprocess.Popen(
            ["taskset", "-c", "0", dir / "analyst", "dev", "--env-file", env_file, "--reports", work],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"HOME": work, "PATH": os.environ["PATH"]},
        )
        try:
            while not (env_file.exists() and "ANTHROPIC" in env_file.read_text()):
                assert dev.poll() is None, "analyst dev did not start"
            env = {"HOME": work, "PATH": os.environ["PATH"], "GEMINI_API_KEY": "dev", "GOOGLE_API_KEY": "dev"}
            for line in env_file.read_text().splitlines():
                name, _, value = line.removeprefix("export ").partition("=")
                env[name] = value.strip("'")
            for _ in range(ROUNDS):
                for (name, k), measured in seen.items():
                    command = clients[name]
                    args = [command[0], str(SESSIONS), str(k), *command[1:]] if "ours" in str(command[0]) else [*command, str(SESSIONS), str(k)]
                    out = subprocess.run(["taskset", "-c", "1", *args], env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    measured.append(json.loads(out.stdout.splitlines()[-1]))
        finally:
            dev.terminate()
            dev.wait()
    report(seen)


def report(seen):
    middle = {key: {m: statistics.median(x[m] for x in rows) for m in rows[0]} for key, rows in seen.items()}
    print(f"{SESSIONS} sessions, {ROUNDS} rounds in turns, medians\n")
    print("| client | at once | CPU ms a session | wall ms | RSS MB |\n| --- | ---: | ---: | ---: | ---: |")
    for (name, k), m in middle.items():
        print(f"| {name} | {k} | {m['cpu_ms']:.1f} | {m['wall_ms']:.1f} | {m['rss_mb']:.0f} |")
    print("\n| ratio | at once | measured (quartiles) | target | |\n| --- | ---: | --- | --- | --- |")
    names = list(dict.fromkeys(name for name, _ in seen))
    ours, bare, python, javascript, hand = names
    rows = [
        ("Python / ours, CPU", python, ours, "cpu_ms", {1: 16, 20: 20}, True), ("JavaScript / ours, CPU", javascript, ours, "cpu_ms", {1: 8, 20: 10}, True),
        ("Python / ours, RSS", python, ours, "rss_mb", {1: 4, 20: 4}, True), ("journal on / off, CPU", ours, bare, "cpu_ms", {1: 1.15, 20: 1.15}, False),
        ("ours, no journal / Go by hand, CPU", bare, hand, "cpu_ms", {1: None, 20: None}, False), ("JavaScript / Go by hand, CPU", javascript, hand, "cpu_ms", {1: None, 20: None}, True),
    ]
    for what, over, under, m, targets, more in rows:
        for k, target in targets.items():
            each = sorted(a[m] / b[m] for a, b in zip(seen[over, k], seen[under, k]))
            got = statistics.median(each)
            low, high = each[len(each) // 4], each[-1 - len(each) // 4]
            said = "none | " if target is None else f"{'≥' if more else '≤'} {target} | {'met' if (got >= target if more else got <= target) else '**missed**'}"
            print(f"| {what} | {k} | {got:.2f} ({low:.2f}–{high:.2f}) | {said} |")


main()
