import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {createInterface} from 'node:readline'

/*
 * Flows of VMs, and the outside that tells them whom it sees. Programs in Python, for a test enters network namespaces by the command that
 * comes before them (`inside`).
 */

/** Where the outside listens: it answers, TCP and UDP, or swallows what comes, TCP. */
export const [ECHO, SINK] = [7007, 7008]

/** The outside: answers each packet with the address that it came from. */
export async function startEcho(inside: readonly string[]): Promise<ChildProcess> {
  const child = start([...inside, 'python3', '-uc', ECHO_SERVER])
  const ended = once(child, 'exit').then(() => {
    throw new Error('the outside has ended')
  })
  await Promise.race([once(child.stdout, 'data'), ended])
  return child
}

/** Each line that it is given goes to the outside. */
export class Flow {
  readonly #child
  readonly #lines
  constructor(inside: readonly string[], protocol: 'udp' | 'tcp', to: string) {
    this.#child = start([...inside, 'python3', '-uc', FLOW, protocol, to])
    this.#lines = createInterface({input: this.#child.stdout})[Symbol.asyncIterator]()
  }

  /** The source address that the outside sees; or how it ended. */
  async ask(): Promise<string> {
    this.#child.stdin.write('\n')
    return String((await this.#lines.next()).value)
  }

  kill = () => this.#child.kill('SIGKILL')
}

/** What has become of the flows of a load. */
export interface Outcome {
  /** UDP flows, those that the outside saw from more than one address, packets sent and answered. */
  readonly udp: number
  readonly changed: number
  readonly sent: number
  readonly answered: number
  /** TCP connections that lived until the end or ended by themselves, and others. */
  readonly tcp: number
  readonly broken: number
  /** Flows by the address that the outside saw first. */
  readonly seen: Readonly<Record<string, number>>
}

/** Many flows of a VM, long ones and short ones, TCP and UDP, until it is told to end. */
export class Load {
  readonly #child
  constructor(inside: readonly string[], to: string) {
    this.#child = start([...inside, 'python3', '-uc', LOAD, to])
  }

  async end(): Promise<Outcome> {
    this.#child.stdin.end()
    let text = ''
    for await (const piece of this.#child.stdout) text += piece
    return JSON.parse(text) as Outcome
  }

  kill = () => this.#child.kill('SIGKILL')
}

/** Median of round trips over one connection, ms. */
export const roundTrip = (inside: readonly string[], to: string) => number(inside, ROUND_TRIP, to)

/** What one connection carries to the outside in two seconds, MB/s. */
export const upload = (inside: readonly string[], to: string) => number(inside, UPLOAD, to)

async function number(inside: readonly string[], program: string, to: string): Promise<number> {
  const child = start([...inside, 'python3', '-uc', program, to])
  let text = ''
  for await (const piece of child.stdout) text += piece
  return Number.parseFloat(text)
}

/** Counts packets on a wire, those in VXLAN too, from or to these addresses and of the outside's port. */
export class Wire {
  readonly #child
  constructor(inside: readonly string[], device: string, addresses: readonly string[]) {
    this.#child = start([...inside, 'python3', '-uc', WIRE, device, ...addresses])
  }

  /** Ends it. @returns packets on the wire as they are, and packets in a tunnel */
  async end(): Promise<{plain: number; tunnelled: number}> {
    this.#child.stdin.end()
    let text = ''
    for await (const piece of this.#child.stdout) text += piece
    return JSON.parse(text) as {plain: number; tunnelled: number}
  }

  kill = () => this.#child.kill('SIGKILL')
}

/** All of them end with their standard input: who enters a process namespace has a child there that no signal comes to. */
function start(argv: readonly string[]) {
  const [program = '', ...args] = argv
  return spawn(program, args, {stdio: ['pipe', 'pipe', 'inherit']}) as ReturnType<typeof spawn> & {
    stdin: NodeJS.WritableStream
    stdout: NodeJS.ReadableStream
  }
}

const FLOW = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(5)
ready = False
for line in sys.stdin:
  try:
    if not ready: s.connect((sys.argv[2], ${ECHO}))
    ready = True
    s.send(b'x')
    print(s.recv(100).decode())
  except OSError as e: print(type(e).__name__)
`

const WIRE = `
import json, select, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind((sys.argv[1], 0))
wanted, count = {socket.inet_aton(one) for one in sys.argv[2:]}, {'plain': 0, 'tunnelled': 0}
def ours(frame):
  if frame[12:14] != b'\\x08\\x00' or frame[23] not in (6, 17): return False
  ports = struct.unpack('!HH', frame[34:38])
  return ${ECHO} in ports and not wanted.isdisjoint((frame[26:30], frame[30:34]))
while True:
  ready, _, _ = select.select([s, sys.stdin], [], [])
  if sys.stdin in ready: break
  frame = s.recv(2000)
  if ours(frame): count['plain'] += 1
  elif frame[12:14] == b'\\x08\\x00' and frame[23] == 17 and frame[36:38] == b'\\x12\\xb5' and ours(frame[50:]): count['tunnelled'] += 1
print(json.dumps(count))
`

const ROUND_TRIP = `
import socket, statistics, sys, time
s = socket.create_connection((sys.argv[1], ${ECHO}), 5)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
took = []
for _ in range(300):
  begun = time.perf_counter()
  s.send(b'x'); s.recv(100)
  took.append(time.perf_counter() - begun)
print(statistics.median(took) * 1000)
`

const UPLOAD = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], ${SINK}), 5)
begun, sent, data = time.perf_counter(), 0, b'x' * 65536
while time.perf_counter() - begun < 2: sent += s.send(data)
s.shutdown(socket.SHUT_WR); s.recv(1)
print(sent / (time.perf_counter() - begun) / 1e6)
`

const LOAD = `
import asyncio, collections, json, sys
to, total, seen, over = sys.argv[1], collections.Counter(), collections.Counter(), asyncio.Event()
async def pause(seconds):
  try: await asyncio.wait_for(over.wait(), seconds)
  except asyncio.TimeoutError: pass
class Udp(asyncio.DatagramProtocol):
  def __init__(self): self.sources = []
  def datagram_received(self, data, who):
    total['answered'] += 1
    if data not in self.sources: self.sources.append(data)
  def error_received(self, error): pass
async def udp(packets, gap):
  loop = asyncio.get_running_loop()
  while not over.is_set():
    transport, flow = await loop.create_datagram_endpoint(Udp, remote_addr=(to, ${ECHO}))
    for _ in range(packets):
      if over.is_set(): break
      transport.sendto(b'x'); total['sent'] += 1
      await asyncio.sleep(gap)
    await asyncio.sleep(.3)
    transport.close()
    total['udp'] += 1; total['changed'] += len(flow.sources) > 1
    for source in flow.sources[:1]: seen[source.decode()] += 1
async def tcp(exchanges, gap):
  while not over.is_set():
    try:
      reader, writer = await asyncio.wait_for(asyncio.open_connection(to, ${ECHO}), 5)
      for number in range(exchanges):
        writer.write(b'x')
        source = await asyncio.wait_for(reader.read(100), 5)
        if source == b'': raise OSError('it has ended')
        if number == 0: seen[source.decode()] += 1
        if over.is_set(): break
        await pause(gap)
      writer.close()
      total['tcp'] += 1
    except (OSError, asyncio.TimeoutError): total['broken'] += 1
    await asyncio.sleep(.05)
async def main():
  loop = asyncio.get_running_loop()
  loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: over.set())
  await asyncio.gather(*[udp(10**9, .02) for _ in range(4)], *[udp(5, .03) for _ in range(2)],
    *[tcp(10**9, .1) for _ in range(4)], *[tcp(20, .05) for _ in range(2)], *[tcp(1, 0) for _ in range(2)])
asyncio.run(main())
keys = ('udp', 'changed', 'sent', 'answered', 'tcp', 'broken')
print(json.dumps({**{key: total[key] for key in keys}, 'seen': seen}))
`

const ECHO_SERVER = `
import os, socket, sys, threading
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('', ${ECHO}))
def udp():
  while True:
    _, who = u.recvfrom(2000)
    try: u.sendto(who[0].encode(), who)
    except OSError: pass
def tcp(c, who):
  try:
    while c.recv(100): c.send(who[0].encode())
  except OSError: pass
threading.Thread(target=udp, daemon=True).start()
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
def swallow(c):
  while c.recv(1 << 20): pass
  c.close()
def sink():
  t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(('', ${SINK})); t.listen(50)
  while True: threading.Thread(target=swallow, args=(t.accept()[0],), daemon=True).start()
threading.Thread(target=sink, daemon=True).start()
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(('', ${ECHO})); t.listen(50)
print('ready')
while True:
  c, who = t.accept()
  threading.Thread(target=tcp, args=(c, who), daemon=True).start()
`
