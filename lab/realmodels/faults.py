# Breaks model calls with llmock, which speaks the wires of OpenAI, Google and Anthropic:
# usage: faults.py ANALYST URL FOLDER. It prints for each fault, wire and way how many of
# ten jobs ended so, and fails where one is not as it must be: a fault before anything was
# shown costs at most one job, and after text was shown no half answer passes for whole.
import concurrent.futures
import glob
import json
import os
import subprocess
import sys
import urllib.request

analyst, url, folder = sys.argv[1:]
RUNS = 10
JOB = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
FETCH = {"tool_calls": [{"name": "fetch_document", "arguments": {"document_id": "doc_9982"}}]}
SCRIPT = [FETCH, {"tool_calls": [{"name": "create_report", "arguments": {"title": "Q4 Analysis", "content": "Revenue grew."}}]}, {"text": "The report Q4 Analysis is written."}]
LONG = {"text": "Hello to you, and to all who read what a model says, word by word."}

# The base URL of each wire; and how many events of a text show nothing of it.
WIRES = {"openai": ("/v1", 1), "openai, responses": ("/v1", 4), "gemini": ("/gemini", 0), "anthropic": ("/anthropic", 2)}


def queue(model, behaviors):
    body = json.dumps({"behaviors": [{**b, "match": {"model": model}} for b in behaviors]}).encode()
    urllib.request.urlopen(urllib.request.Request(url + "/_llmock/scenario", body)).close()


def run(wire, name, prompt, behaviors, ways):
    queue(name, behaviors)
    home = os.path.join(folder, name)
    base = url + WIRES[wire][0]
    provider = wire.split(",")[0]
    if provider != wire:
        ways = [*ways, "--model-option", "api=responses"]
    env = {"PATH": os.environ["PATH"], "HOME": home, "XDG_STATE_HOME": home}
    env.update({v: base for v in ("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "ANTHROPIC_BASE_URL")})
    env.update({v: "any-key" for v in ("OPENAI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY")})
    os.makedirs(home)
    command = [analyst, "run", "--quiet", *ways, "--model", provider + "/" + name, "--reports", home + "/reports", prompt]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    reports = glob.glob(home + "/reports/*.md")
    return done.returncode, len(reports), done.stdout, done.stderr


failed, cells = False, []


def cell(label, wire, ways, prompt, behaviors, judge, most, least):
    """Runs a cell. Between least and most of its jobs must pass the judge."""
    global failed
    names = [f"{len(cells)}-{i}" for i in range(RUNS)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda name: run(wire, name, prompt, behaviors, ways), names))
    passed = sum(judge(*r) for r in results)
    way = "streamed" if ways else "plain"
    cells.append(passed)
    print(f"{label:<48} {wire:<18} {way:<9} {passed} of {RUNS}", flush=True)
    if not least <= passed <= most:
        failed = True
        for r in results[:2]:
            print(r)


def whole(code, reports, out, _):
    return code == 0 and reports == 1 and "Q4 Analysis is written" in out


def taken_for_whole(code, _, out, err):
    return code == 0 or not out.strip()  # nothing was shown: the fault struck too early to tell


replies = [{"type": "reply", **r} for r in SCRIPT]
for wire, (_, silent) in WIRES.items():
    for status in (429, 500, 503):
        for ways in ([], ["--stream"]):
            cell(f"{status} at first, whole", wire, ways, JOB, [{"type": "fail", "status": status}, *replies], whole, RUNS, RUNS - 1)
    for kind in ("disconnect", "truncate", "malformed"):
        fault = {"type": "stream_fault", "kind": kind, "after_chunks": 0}
        cell(f"{kind} before anything was shown", wire, ["--stream"], JOB, [fault, replies[0], *replies], whole, RUNS, RUNS - 1)
        fault = {"type": "stream_fault", "kind": kind, "after_chunks": silent + 3}
        text = {"type": "reply", **LONG, "times": 2}
        cell(f"{kind} after text was shown, taken for whole", wire, ["--stream"], "Hello.", [fault, text], taken_for_whole, 0, 0)
sys.exit(failed)
