/**
 * The edge to the outside world, as interfaces. Everything that ticks, draws, sleeps, reads or connects goes
 * through one `Runtime` value that `createNode` is given. `runtime/` implements it on Node.js, `sim/` on virtual
 * time with a seed; no other room may name a clock, a timer, a socket or a random source.
 */

/** A timer that has been set. `clear` is idempotent and harmless after the timer fired. */
export interface Timer {
  clear(): void
}

export interface Clock {
  /** Milliseconds, monotonic, fractional. Its origin means nothing. The only time that may order or expire. */
  now(): number
  /** Milliseconds since 1970, for people to read. Never for ordering; it may only shorten a lease. */
  wallNow(): number
  /**
   * Runs `fn` once, `ms` from now (any finite `ms` ≥ 0, also above 2³¹). Never synchronously, never early.
   * Timers do not keep the operating-system process alive; see `Loop.hold`.
   */
  after(ms: number, fn: () => void): Timer
}

export interface Random {
  /** Uniform in [0, 1). */
  float(): number
  /** `length` unpredictable bytes (the simulator's are predictable, by seed). */
  bytes(length: number): Uint8Array
  /** A stream of its own, so that a further draw for one use does not shift the draws of another. */
  fork(use: string): Random
}

export interface Loop {
  /** Before the event loop goes on: where a drain starts (a microtask; in the simulator an event of its own). */
  soon(fn: () => void): void
  /** In a later turn of the event loop, after sockets and timers had theirs. */
  later(fn: () => void): void
  /** When the current turn's handlers and drains are over: where written frames are flushed, once per turn. */
  turnEnd(fn: () => void): void
  /** How late the loop last ran, in ms: a node that is late itself must not accuse others. */
  lag(): number
  /** Keeps the operating-system process alive until the returned function is called (idempotent). */
  hold(): () => void
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** What a stream tells its owner. Set once, before the first event; calls never come synchronously from a method. */
export interface StreamHandlers {
  /** A chunk, cut anywhere. The bytes belong to the receiver: the edge never writes to them again. */
  data(chunk: Buffer): void
  /** `write` returned false earlier, and everything written has been handed to the operating system since. */
  drain(): void
  /** Exactly once, last. `code` is an errno name such as `ECONNRESET`; absent for an orderly end. */
  close(code: string | undefined): void
}

/** A connected, ordered stream of bytes in both directions. */
export interface Stream {
  readonly local: Address
  readonly remote: Address
  /** Bytes accepted by `write` and not yet handed to the operating system. */
  readonly pendingBytes: number
  open(handlers: StreamHandlers): void
  /**
   * The bytes of `chunk` must not change until `pendingBytes` is 0 again. False: stop until `drain`. Writing to a closed
   * stream does nothing.
   */
  write(chunk: Buffer): boolean
  /** As `write` of one after the other, in as few calls of the system as there can be. */
  writeAll(chunks: readonly Buffer[]): boolean
  /** Stops `data` until `resume`. */
  pause(): void
  resume(): void
  /** Sends what was written, then closes, or gives up after 10 s; `close` follows. */
  end(): void
  /** Closes at once, with a reset where there is unsent data; `close` follows. */
  destroy(): void
}

export interface Listener {
  /** As bound: the real port where 0 was asked for. */
  readonly address: Address
  /** Stops accepting. Streams already accepted live on. Resolves when the port is free. */
  close(): Promise<void>
}

export type DialResult =
  | { readonly ok: true; readonly stream: Stream }
  /** `ECONNREFUSED` means that somebody answered "nobody here"; `ETIMEDOUT` and others mean that nobody answered. */
  | { readonly ok: false; readonly code: string }

export interface Transport {
  /** Rejects with an Error that has an errno `code` (`EADDRINUSE`, …). */
  listen(address: Address, accept: (stream: Stream) => void): Promise<Listener>
  /** Connects within `timeoutMs`. Calls back exactly once, never synchronously. Returns a function that gives up. */
  dial(
    address: Address,
    options: { readonly timeoutMs: number },
    done: (result: DialResult) => void,
  ): () => void
}

/** Asks DNS. Rejects with an Error that has a `code`: `ENOTFOUND`, `ENODATA`, `ESERVFAIL`, `ETIMEOUT`, … */
export interface Resolver {
  /** All addresses of a host, of both families: as the system finds them, or as `servers` answer. */
  lookup(host: string, options?: ResolveOptions): Promise<readonly string[]>
  /** The SRV records of a name. */
  services(name: string, options?: ResolveOptions): Promise<readonly Address[]>
}

export interface ResolveOptions {
  /** `ip` or `ip:port`. Default: those of the system. */
  readonly servers?: readonly string[] | undefined
  /** Gives up, where the asking can be given up. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Calls `changed` when a file may have changed, been made or been replaced; rather too often than too seldom, and never
 * synchronously. Where nobody tells of changes it looks by itself. Returns a function that ends it.
 */
export type Watch = (path: string, changed: () => void) => () => void

/** Files, as far as durable state needs them. Paths are absolute. Errors carry an errno `code`. */
export interface Disk {
  read(path: string): Promise<Buffer>
  /** Creates or truncates. The bytes are durable only after `sync`. */
  write(path: string, bytes: Uint8Array): Promise<void>
  append(path: string, bytes: Uint8Array): Promise<void>
  sync(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  makeFolder(path: string): Promise<void>
  /** Makes renames and removals inside the folder durable. */
  syncFolder(path: string): Promise<void>
  list(path: string): Promise<readonly string[]>
}

/** What a node says that it can speak. */
export interface Speech {
  /** Of the wire, from the lowest to the highest. */
  readonly versions: readonly [min: number, max: number]
  /** One bit each. */
  readonly features: number
}

/** One per node. */
export interface Runtime {
  /** Time is virtual: nothing may depend on how fast the machine is. */
  readonly simulated?: boolean | undefined
  /** Takes down what happened inside a node, kinds and ids alone: for the event log of a simulated run. */
  readonly record?: ((kind: string, ids: string) => void) | undefined
  /** What a node of another version would speak: for tests of mixed clusters. */
  readonly speech?: Speech | undefined
  /**
   * Asked where a protocol may do what it hardly ever does: "now?". Simulations say yes more often than the world would;
   * elsewhere it is absent, and nothing is asked.
   */
  readonly buggify?: ((site: string) => boolean) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly loop: Loop
  readonly transport: Transport
  readonly resolver: Resolver
  readonly disk: Disk
  readonly watch: Watch
  readonly host: Host
}

/** An export of a module and its arguments, which are cloned. */
export interface ThreadJob {
  /** The module's URL, as text. */
  readonly module: string
  readonly name: string
  readonly args: readonly unknown[]
}

export interface ThreadRun {
  /** What the function returned, cloned; rejects with what it threw, and when the thread was ended. */
  readonly result: Promise<unknown>
  /** Ends the thread, whatever it does. Idempotent. */
  end(): void
}

/** The operating-system process that a node lives in. */
export interface Host {
  /** The machine's name, for a node that was given none. */
  readonly hostname: string
  /** Cores that this process may use: how many partitions are worth while. */
  readonly cores: number
  /** Runs a function in a thread of its own. A simulated node has none. */
  startThread(job: ThreadJob): ThreadRun
  /** Writes one line for people, to standard error. */
  warn(line: string): void
  /**
   * Tells of promise rejections that nobody handled, while `fn` is installed and returns true for those it took.
   * Others follow Node's default. Returns a function that removes `fn`.
   */
  onUnhandledRejection(fn: (reason: unknown, promise: Promise<unknown>) => boolean): () => void
}
