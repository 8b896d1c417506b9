"""The four boot stages of cloud-init in one Python, which saves three starts of it, and sshd where systemd has it.

Standard output is the console. File descriptor 3 is the guest's folder.
"""
import logging
import os
import subprocess
import sys
import time
import traceback

from cloudinit.cmd.main import main

STAGES = (["init", "--local"], "network", ["init"], "sshd", ["modules", "--mode=config"], ["modules", "--mode=final"])
CONSOLE = os.dup(1)


def to_console():
    """cloud-init leaves its output at a `tee` of the stage before."""
    sys.stdout.flush()
    sys.stderr.flush()
    for fd in (1, 2):
        os.dup2(CONSOLE, fd)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def network_is_up():
    return os.path.exists("/proc/self/fd/3/network")


def no_child():
    """Every `tee` has ended; one that a command of the user's in the background writes to does not."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def run(stage):
    if stage == "network":
        if not wait_for(network_is_up, 30):
            print("no network after 30 s", flush=True)
    elif stage == "sshd":
        if subprocess.run(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"], check=False).returncode == 0:
            wait_for(lambda: os.path.exists("/run/sshd.pid") and os.path.getsize("/run/sshd.pid") > 0, 5)
    else:
        main(["cloud-init"] + stage)


for stage in STAGES:
    try:
        run(stage)
    except SystemExit:
        pass  # a stage that failed has said why, and the next one runs all the same, as systemd's units do
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
    to_console()
# Python would hold the pipes to every `tee` until its own end.
logging.shutdown()
os.closerange(CONSOLE, 1024)
wait_for(no_child, 0.5)
os._exit(0)
