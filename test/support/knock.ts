/* Programs in Python for places without Node's modules: who listens there, and what becomes of who knocks. */

/** Greets with its name and whom it sees, on TCP 22 and 80 and UDP 22, and says each word again; on UDP 23 it is told to speak first. */
export const SERVER = `
import socket, sys, threading, time
name, last = sys.argv[1], None
def greeting(peer): return f'{name} {peer[0].removeprefix("::ffff:")}\\n'.encode()
def serve(connection, peer):
    try:
        connection.sendall(greeting(peer))
        while word := connection.recv(99): connection.sendall(word)
    except OSError: pass
    connection.close()
def tcp(port):
    global last
    while True:
        last, peer = listeners[port].accept()
        threading.Thread(target=serve, args=(last, peer), daemon=True).start()
def udp(port):
    while True:
        word, peer = sockets[port].recvfrom(99)
        sockets[port].sendto(spoken() if port == 23 else greeting(peer), peer)
def spoken():
    try:
        last.sendall(b'spoken\\n')
        # TCP_ESTABLISHED, and what nobody has acknowledged
        for _ in range(30):
            info = last.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
            if info[0] != 1: return b'reset'
            if info[24:28] == bytes(4): return b'open'
            time.sleep(.02)
        return b'silence'
    except OSError: return b'reset'
def bound(kind, port):
    one = socket.socket(socket.AF_INET6, kind)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(('::', port))
    if kind == socket.SOCK_STREAM: one.listen(64)
    return one
listeners = {port: bound(socket.SOCK_STREAM, port) for port in (22, 80)}
sockets = {port: bound(socket.SOCK_DGRAM, port) for port in (22, 23)}
for run, ports in ((tcp, listeners), (udp, sockets)):
    for port in ports: threading.Thread(target=run, args=(port,), daemon=True).start()
print('ready', flush=True)
threading.Event().wait()`

/** Arguments: tcp, udp or hold; address; port; source address or nothing. One line: what is said first, or how it ended. */
export const KNOCK = `
import errno, socket, sys
how, to, port, source = sys.argv[1:5]
six = ':' in to
one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM if how == 'udp' else socket.SOCK_STREAM)
# IP_RECVERR: whether it was ICMP that refused
one.setsockopt(41 if six else 0, 25 if six else 11, 1)
one.settimeout(1)
def tell(act):
    try: return act()
    except TimeoutError: return 'silence'
    except OSError as error:
        one.setblocking(False)
        try: one.recvmsg(1, 512, socket.MSG_ERRQUEUE); return 'ICMP'
        except OSError: return 'reset' if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET) else errno.errorcode[error.errno]
def heard(): return one.recv(99).decode().strip() or 'end'
def first():
    if source: one.bind((source, 0))
    one.connect((to, int(port)))
    if how == 'udp': one.send(b'x')
    return heard()
print(tell(first), flush=True)
def again(word):
    if word: one.sendall(word.encode())
    return heard()
if how == 'hold':
    for line in sys.stdin: print(tell(lambda: again(line.strip())), flush=True)`

/** Argument: a device. A router's word, by ICMPv6 to all: a default route, and a prefix for addresses of one's own. */
export const ADVERTISE = `
import socket, struct, sys
one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
index = socket.if_nametoindex(sys.argv[1])
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
prefix = struct.pack('!BBBBIII16s', 3, 4, 64, 0xc0, 3600, 3600, 0, socket.inet_pton(socket.AF_INET6, 'fd99::'))
one.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ('ff02::1', 0, 0, index))`

/**
 * Arguments: what is sent first, to whom, and the gate's address. Two hundred `requests` or `solicitations` of as many neighbours, requests
 * for `others`, or `replies`; then, but for the first two, one more request: `answered` or `silence`.
 */
export const LINK = `
import socket, struct, sys, time
kind, to, gate = sys.argv[1:4]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
out.bind(('eth0', 0x0806))
mac = out.getsockname()[4]
def arp(operation, sender, target):
    head = b'\\xff' * 6 + mac + struct.pack('!HHHBBH', 0x0806, 1, 0x0800, 6, 4, operation)
    out.send(head + mac + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target))
def solicit(sender):
    source, target = (socket.inet_pton(socket.AF_INET6, one) for one in (sender, to))
    body = struct.pack('!BBHI', 135, 0, 0, 0) + target + b'\\x01\\x01' + mac
    whole = source + target + struct.pack('!II', len(body), 58) + body
    total = sum(struct.unpack(f'!{len(whole) // 2}H', whole))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack('!H', ~total & 0xffff) + body[4:]
    hops = struct.pack('!IHBB', 6 << 28, len(body), 58, 255)
    out.send(bytes.fromhex('fa163e000005') + mac + b'\\x86\\xdd' + hops + source + target + body)
for n in range(50, 250):
    if kind == 'requests': arp(1, f'10.0.0.{n}', to)
    if kind == 'solicitations': solicit(f'fd10::1:{n:x}')
    if kind == 'others': arp(1, '10.0.0.10', '10.0.0.77')
    if kind == 'replies': arp(2, '10.0.0.10', to)
if kind in ('requests', 'solicitations'): sys.exit()
arp(1, '10.0.0.10', to)
until = time.monotonic() + .7
while (left := until - time.monotonic()) > 0:
    out.settimeout(left)
    try: frame = out.recv(99)
    except TimeoutError: break
    if frame[20:22] == b'\\0\\2' and frame[28:32] == socket.inet_aton(to): print('answered'); sys.exit()
print('silence')`

/** Arguments: addresses. Which of them are announced on the link, by ARP or unsolicited advertisements, until its input ends. */
export const HEAR = `
import select, socket, sys
four, six = socket.inet_aton(sys.argv[1]), socket.inet_pton(socket.AF_INET6, sys.argv[2])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(('eth0', 3))
print('ready', flush=True)
heard = set()
def look(frame):
    if frame[12:14] == b'\\x08\\x06' and frame[28:32] == frame[38:42] == four: heard.add(f'ARP {sys.argv[1]}')
    # An advertisement that nobody has asked for goes to all.
    if frame[12:14] == b'\\x86\\xdd' and frame[54:55] == b'\\x88' and frame[38:39] == b'\\xff' and frame[62:78] == six: heard.add(f'NA {sys.argv[2]}')
while True:
    ready, _, _ = select.select([link, sys.stdin], [], [])
    if link in ready: look(link.recv(2000))
    elif not sys.stdin.readline(): break
print(' '.join(sorted(heard)))`
