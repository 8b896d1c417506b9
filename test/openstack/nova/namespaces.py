"""nova.virt.namespaces: machines are namespaces (net, mount, pid, uts) with Debian's stock sshd, plugged into br-int.

PID 1 of a machine is the lab's: lab/guest-init, or with user data lab/guest-init-cloud, which runs Debian's cloud-init from the
config drive that Nova makes. Everything runs as root inside the node.
"""
import os
import shutil
import signal
import subprocess
import time

from oslo_concurrency import processutils

from nova import exception
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state
from nova.virt import fake, hardware

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../lab")
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


class DoesNotBoot(exception.InvalidDiskInfo):
    """Nova ends a build with the words of this kind of error; after others it tries the next host, and says only that it did."""
    msg_fmt = "%(reason)s"


class Machine:
    """One server's namespaces. Its folder holds its disk, or its host key, and its console log; all outlive a reboot."""

    def __init__(self, uuid):
        self.folder = os.path.join(FOLDER, uuid)
        self.netns = "vm-" + uuid
        self.process = None
        self.nics = {}  # port id -> (device on br-int, device in the machine as plugged)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make_config_drive(self, instance, files, network_info):
        """As libvirt's driver, once in the life of a disk."""
        metadata = instance_metadata.InstanceMetadata(instance, content=files, network_info=network_info)
        for path, content in metadata.metadata_for_config_drive():
            file = self.path("seed", path)
            os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
            with open(file, "wb") as out:
                out.write(content.encode() if isinstance(content, str) else content)

    def make_keys(self, name, key):
        os.makedirs(self.path("seed"), mode=0o700, exist_ok=True)
        if not os.path.exists(self.path("seed", "host_key")):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@" + name, "-f", self.path("seed", "host_key"))
        with open(self.path("seed", "authorized_keys"), "w") as out:
            out.write(key.strip() + "\n")

    def start(self, init, name, *more):
        for said in ("ready.new", "network"):
            if os.path.exists(self.path(said)):
                os.unlink(self.path(said))
        run("ip", "netns", "add", self.netns)
        unshare = ["--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        command = ["sh", os.path.join(LAB, init), self.folder, name, *more]
        with open(self.path("init.log"), "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", "--net=/run/netns/" + self.netns, "unshare", *unshare, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def has_network(self):
        """What a boot waits for before it needs the network."""
        open(self.path("network"), "w").close()

    def wait_until_ready(self, name):
        ready = self.path("ready.new")
        wait_for(name, lambda: not self.is_running() or (os.path.exists(ready) and os.path.getsize(ready) > 0))
        if not self.is_running():
            with open(self.path("init.log"), errors="replace") as log:
                words = log.read().replace(self.folder + "/", "").strip()
            raise RuntimeError("%s did not boot: %s" % (name, words[-150:]))  # Nova keeps 255 characters

    def is_running(self):
        return self.process is not None and self.process.poll() is None

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
                if not six:
                    self.announce(device, ip["address"])
            gateway = (subnet.get("gateway") or {}).get("address")
            if gateway and not run("ip", "-n", self.netns, "-%d" % subnet["version"], "route", "show", "default"):
                run("ip", "-n", self.netns, "route", "add", "default", "via", gateway, "dev", device)

    def announce(self, device, address):
        """As a DHCP client does: the router may know the MAC of a machine that had this address before."""
        subprocess.Popen(["ip", "netns", "exec", self.netns, "arping", "-q", "-U", "-c", "1", "-I", device, address],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def unplug(self, port_id):
        # A userspace bridge's device goes with its port, wherever it was moved to.
        tap, _ = self.nics.pop(port_id, (None, None))
        if tap:
            run("ovs-vsctl", "--if-exists", "del-port", "br-int", tap)

    def stop(self):
        for port_id in list(self.nics):
            self.unplug(port_id)
        if self.process:
            self.kill()
            self.process = None
            run("ip", "netns", "delete", self.netns)

    def kill(self):
        """By its PID 1, with which all of it goes; `unshare`, which waits for it, has ended when nothing is left."""
        pid = self.process.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
                init = (children.read().split() or [pid])[0]
            os.kill(int(init), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it had ended
        self.process.wait()


class NamespaceDriver(fake.FakeDriver):
    """The fake driver's bookkeeping around real machines."""

    vcpus, memory_mb, local_gb = 100, 100000, 1000

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.machines = {}

    def _machine(self, instance):
        return self.machines.setdefault(instance.uuid, Machine(instance.uuid))

    def _boot(self, instance, network_info):
        """Starts the machine from what it has on disk, with all its NICs. Raises when it does not boot."""
        machine = self._machine(instance)
        machine.stop()
        name = instance.hostname or instance.name
        if instance.user_data:
            limit = instance.metadata.get("lab:disk_mb")  # lab/net/config-drive.ts
            machine.start("guest-init-cloud", name, *([] if limit is None else [str(int(limit))]))
        else:
            machine.make_keys(name, instance.key_data or "")
            machine.start("guest-init", name)
        try:
            for vif in network_info or []:
                machine.plug(vif, configure=True)
            machine.has_network()
            machine.wait_until_ready(name)
        except Exception:
            machine.stop()
            raise
        if not instance.user_data:
            machine.print_console(name)

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations, network_info=None,
              **kwargs):
        super().spawn(context, instance, image_meta, injected_files, admin_password, allocations,
                      network_info=network_info, **kwargs)
        try:
            if instance.user_data:
                self._machine(instance).make_config_drive(instance, injected_files, network_info)
            self._boot(instance, network_info)
        except Exception as error:
            raise DoesNotBoot(reason=str(error)) from error

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True, **kwargs):
        self._machine(instance).stop()
        if destroy_disks:  # a rebuild comes here too: what is spawned next has another host key
            shutil.rmtree(self._machine(instance).folder, ignore_errors=True)
            self.machines.pop(instance.uuid, None)
        super().destroy(context, instance, network_info, block_device_info, destroy_disks, **kwargs)

    def power_off(self, instance, timeout=0, retry_interval=0):
        self._machine(instance).stop()
        super().power_off(instance, timeout, retry_interval)

    def power_on(self, context, instance, network_info, *args, **kwargs):
        self._boot(instance, network_info)
        super().power_on(context, instance, network_info, *args, **kwargs)

    def reboot(self, context, instance, network_info, reboot_type, *args, **kwargs):
        """Soft and hard are one: the machine is cut off and boots from its disk."""
        self.power_on(context, instance, network_info)

    def get_info(self, instance, use_cache=True):
        """Whether the machine runs, also when it has ended by itself."""
        info = super().get_info(instance, use_cache)
        if info.state == power_state.RUNNING and not self._machine(instance).is_running():
            return hardware.InstanceInfo(state=power_state.SHUTDOWN)
        return info

    def pre_live_migration(self, context, instance, block_device_info, network_info, disk_info, migrate_data):
        """Memory cannot be moved: the machine boots here, plugged before the one there ends, as libvirt's driver plugs."""
        self._boot(instance, network_info)
        return migrate_data

    def live_migration(self, context, instance, dest, post_method, *args, **kwargs):
        time.sleep(3)  # as its memory takes: Neutron does not bear that a port is moved in the moment in which its agent reports it
        self._machine(instance).stop()
        super().live_migration(context, instance, dest, post_method, *args, **kwargs)

    def post_live_migration(self, context, instance, block_device_info, migrate_data=None):
        self.destroy(context, instance, None)

    def post_live_migration_at_destination(self, context, instance, network_info, *args, **kwargs):
        fake.FakeDriver.spawn(self, context, instance, None, None, None, None)

    def rollback_live_migration_at_destination(self, context, instance, network_info, *args, **kwargs):
        self._machine(instance).stop()

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
