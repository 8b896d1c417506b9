"""nova.virt.namespaces: machines are namespaces (net, mount, pid, uts) with Debian's stock sshd, plugged into br-int.

PID 1 of a machine is lab/guest-init, the same as in the lab. Everything runs as root inside the node.
"""
import base64
import os
import re
import shutil
import signal
import subprocess
import time

from oslo_concurrency import processutils

from nova.virt import fake

GUEST_INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../lab/guest-init")
FOLDER = os.path.join(os.environ.get("OS_SSH_NODE", "/nonexistent"), "machines")


def run(*argv):
    return processutils.execute(*argv)[0]


def is_there(*argv):
    try:
        run(*argv)
    except processutils.ProcessExecutionError:
        return False
    return True


def wait_for(what, condition, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise RuntimeError("gave up waiting for %s" % what)
        time.sleep(0.05)


class Machine:
    """One server's namespaces. Its folder holds its host key and console log; both outlive a reboot."""

    def __init__(self, uuid):
        self.folder = os.path.join(FOLDER, uuid)
        self.netns = "vm-" + uuid
        self.process = None
        self.nics = {}  # port id -> (device on br-int, device in the machine as plugged)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def boot(self, name, key, user_data):
        os.makedirs(self.path("seed"), mode=0o700, exist_ok=True)
        if not os.path.exists(self.path("seed", "host_key")):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@" + name, "-f", self.path("seed", "host_key"))
        admits_root = re.search(r"^disable_root:\s*(false|0)\s*$", user_data, re.M)
        for file, text in (("authorized_keys", key), ("root_keys", key if admits_root else "")):
            with open(self.path("seed", file), "w") as out:
                out.write(text.strip() + "\n")
        if os.path.exists(self.path("ready.new")):
            os.unlink(self.path("ready.new"))
        run("ip", "netns", "add", self.netns)
        unshare = ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        with open(self.path("init.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", "--net=/run/netns/" + self.netns, "unshare", *unshare, "sh", GUEST_INIT, self.folder, name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(name, lambda: os.path.exists(self.path("ready.new")) and os.path.getsize(self.path("ready.new")) > 0)
        self.print_console(name)

    def print_console(self, name):
        """What cloud-init prints at the end of a boot."""
        public = self.path("seed", "host_key.pub")
        with open(public) as key, open(self.path("console.log"), "a") as out:
            out.write("[    0.000000] Linux version 6.1 (guest %s)\n" % name)
            out.write("-----BEGIN SSH HOST KEY FINGERPRINTS-----\n%s-----END SSH HOST KEY FINGERPRINTS-----\n"
                      % run("ssh-keygen", "-lf", public))
            out.write("-----BEGIN SSH HOST KEY KEYS-----\n%s-----END SSH HOST KEY KEYS-----\n" % key.read())
            out.write("\nDebian GNU/Linux 12 %s ttyS0\n\n%s login: \n" % (name, name))

    def plug(self, vif, configure):
        """A device on br-int for the port, moved into the machine; with `configure`, addresses as cloud-init sets them."""
        tap = "tap" + vif["id"][:11]
        mtu = str(vif["network"]["meta"].get("mtu") or 1450)
        run("ovs-vsctl", "--may-exist", "add-port", "br-int", tap, "--", "set", "Interface", tap, "type=internal",
            "mtu_request=" + mtu, "external_ids:iface-id=" + vif["id"], "external_ids:iface-status=active",
            'external_ids:attached-mac="%s"' % vif["address"])
        wait_for(tap, lambda: is_there("ip", "link", "show", tap))
        used = {device for _, device in self.nics.values()}
        device = next(name for name in ("eth%d" % n for n in range(100)) if name not in used)
        run("ip", "link", "set", tap, "down", "address", vif["address"], "mtu", mtu)
        run("ip", "link", "set", tap, "netns", self.netns, "name", device)
        self.nics[vif["id"]] = (tap, device)
        if configure:
            self.configure(device, vif["network"]["subnets"])

    def configure(self, device, subnets):
        run("ip", "-n", self.netns, "link", "set", device, "up")
        for subnet in subnets:
            six = ["nodad"] if subnet["version"] == 6 else []
            length = str(subnet["cidr"]).split("/")[1]
            for ip in subnet["ips"]:
                run("ip", "-n", self.netns, "address", "add", "%s/%s" % (ip["address"], length), "dev", device, *six)
            gateway = (subnet.get("gateway") or {}).get("address")
            if gateway and not run("ip", "-n", self.netns, "-%d" % subnet["version"], "route", "show", "default"):
                run("ip", "-n", self.netns, "route", "add", "default", "via", gateway, "dev", device)

    def unplug(self, port_id):
        # A userspace bridge's device goes with its port, wherever it was moved to.
        tap, _ = self.nics.pop(port_id, (None, None))
        if tap:
            run("ovs-vsctl", "--if-exists", "del-port", "br-int", tap)

    def stop(self):
        for port_id in list(self.nics):
            self.unplug(port_id)
        if self.process:
            self.process.send_signal(signal.SIGKILL)  # unshare --kill-child: everything inside goes with it
            self.process.wait()
            self.process = None
            run("ip", "netns", "delete", self.netns)


class NamespaceDriver(fake.FakeDriver):
    """The fake driver's bookkeeping around real machines."""

    vcpus, memory_mb, local_gb = 100, 100000, 1000

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.machines = {}

    def _machine(self, instance):
        return self.machines.setdefault(instance.uuid, Machine(instance.uuid))

    def _boot(self, instance, network_info):
        machine = self._machine(instance)
        machine.stop()
        user_data = base64.b64decode(instance.user_data or "").decode("utf-8", "replace")
        machine.boot(instance.hostname or instance.name, instance.key_data or "", user_data)
        for vif in network_info or []:
            machine.plug(vif, configure=True)

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations, network_info=None,
              **kwargs):
        super().spawn(context, instance, image_meta, injected_files, admin_password, allocations,
                      network_info=network_info, **kwargs)
        self._boot(instance, network_info)

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True):
        self._machine(instance).stop()
        if destroy_disks:  # a rebuild comes here too: what is spawned next has another host key
            shutil.rmtree(self._machine(instance).folder, ignore_errors=True)
        super().destroy(context, instance, network_info, block_device_info, destroy_disks)

    def power_off(self, instance, timeout=0, retry_interval=0):
        self._machine(instance).stop()
        super().power_off(instance, timeout, retry_interval)

    # A reboot comes here too: the fake driver's is a power_on.
    def power_on(self, context, instance, network_info, *args, **kwargs):
        super().power_on(context, instance, network_info, *args, **kwargs)
        self._boot(instance, network_info)

    def attach_interface(self, context, instance, image_meta, vif):
        super().attach_interface(context, instance, image_meta, vif)
        if self._machine(instance).process:  # one that is off finds it at its next boot
            self._machine(instance).plug(vif, configure=False)

    def detach_interface(self, context, instance, vif):
        # As libvirt's driver, content when it is gone already: Nova comes again when Neutron was down the first time.
        self._interfaces.pop(vif["id"], None)
        self._machine(instance).unplug(vif["id"])

    def get_console_output(self, context, instance):
        try:
            with open(self._machine(instance).path("console.log"), "rb") as log:
                return log.read()
        except FileNotFoundError:
            return b""
