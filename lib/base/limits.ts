/**
 * Every maximum in one place. A queue, table, length or retry without a line here is a bug. `createNode({ limits })`
 * overrides those that a user may turn; each says what happens when it is reached.
 */
export interface Limits {
  /** Messages in one mailbox. Full: see `mailboxPolicy`. */
  readonly mailboxMax: number
  /**
   * Undecoded bytes from other nodes in one mailbox. Full: see `mailboxPolicy`. Default: 64 MiB, or twice a raised
   * `messageBytesMax`.
   */
  readonly mailboxBytesMax: number
  /** Processes alive on one node. Full: spawn is refused. */
  readonly processesMax: number
  /** Links, monitors, timers or local names that one process may hold. Full: `RangeError` at the call. */
  readonly perProcessMax: number
  /** Requests of this node that wait for a reply. Full: calls reject with `ERR_BUSY`. */
  readonly pendingCallsMax: number
  /** Uses of one ref to a name that wait for its next holder. Full: calls reject with `ERR_BUSY`, messages are `'full'`. */
  readonly nameWaitersMax: number
  /** Results of one ordered stream that wait for that of an earlier item. Full: no further item is started. */
  readonly streamResultsMax: number
  /** Procedures that run on one node, for whomever. Full: calls reject with `ERR_BUSY`, casts are dead letters. */
  readonly proceduresMax: number
  /** Threads of one node that run functions. Full: `runInWorker` rejects with `ERR_BUSY`. */
  readonly threadsMax: number
  /** Names, cluster-wide, held by processes of one node. Full: registration is refused. */
  readonly namesMax: number
  /** Entries and metadata of one registry on one node. Full: `register` throws `ERR_BUSY`. */
  readonly registryEntriesMax: number
  /** Scopes of groups that are open on one node. Full: opening a further one throws `ERR_BUSY`. */
  readonly groupScopesMax: number
  /** Groups of one scope in which one node has members. Full: `join` throws `ERR_BUSY`; a peer's further ones are not kept. */
  readonly groupsMax: number
  /** Occurrences, in groups of one scope, of processes of one node. Full: as `groupsMax`. */
  readonly groupMembersMax: number
  /** Metadata of one occurrence, as JSON. Larger: `RangeError` at the call; from a peer: ends that session. */
  readonly groupMetaBytesMax: number
  /** Monitors of groups and scopes on one node. Full: `ERR_BUSY` at the call. */
  readonly groupMonitorsMax: number
  /** Increments that wait for one slow peer. Full: they go, and it is given the whole state later. */
  readonly groupIncrementsMax: number
  /** Handlers of one event manager. Full: `add` and `swap` reject with `ERR_BUSY`. */
  readonly eventHandlersMax: number
  /** Remote pids remembered so that `===` holds. Full: the oldest are forgotten. */
  readonly pidsInternedMax: number
  /** One frame, header included, on an authenticated connection. Above: that connection is closed. */
  readonly frameBytesMax: number
  /** One frame before authentication. Above: that connection is closed. */
  readonly frameBytesMaxUnauthenticated: number
  /** Bodies above this are cut into fragments that interleave with other pairs. */
  readonly fragmentBytes: number
  /** One message, encoded; also what may be in reassembly per peer. Above: `ERR_TOO_LARGE` at the send. */
  readonly messageBytesMax: number
  /** Bytes that a peer may have sent and we not yet delivered: the least credit window of a session. */
  readonly creditBytes: number
  /** Queued towards one peer before `send` answers `'busy'`. */
  readonly queueBytesBusy: number
  /** Small frames queued towards one peer. Full: messages are refused with `'full'`; 5 s at the limit drops the peer. */
  readonly queueBytesMax: number
  /** Bodies above `fragmentBytes` queued towards one peer. Default 2 × `messageBytesMax`. */
  readonly bulkBytesMax: number
  /** Signals and replies queued towards one peer beyond `queueBytesMax`. Full: the peer is dropped, `overloaded`. */
  readonly signalBytesMax: number
  /** Connections that have not finished the handshake, in total and per address. Full: the oldest is dropped. */
  readonly unauthenticatedMax: number
  readonly unauthenticatedPerAddressMax: number
  /** Members of a cluster, in release 1. Full: further ones are refused in the handshake. */
  readonly membersMax: number
  /** Addresses that discovery gives a node to dial. More: the first are taken, in order, the same on every node. */
  readonly discoveredMax: number
  /** Sessions with clients (command lines, tools). Full: further ones are refused in the handshake. */
  readonly clientsMax: number
  /** Open requests of one client. Full: answered `ERR_BUSY`. */
  readonly clientRequestsMax: number
  /** Nesting of a payload. Deeper: refused at the send, and by the pre-scan. */
  readonly depthMax: number
  /** Values in one payload; control messages have 65,536. More: refused at the send, and by the pre-scan. */
  readonly valuesMax: number
  /** Links and monitors that processes of one peer hold on processes here. Full: answered with `system_limit`. */
  readonly peerEntriesMax: number
  /** Processes that one peer asked for here and has not yet taken over. Full: `ERR_BUSY`. */
  readonly peerSpawnsMax: number
  /** An exit reason or error on the wire, encoded. Larger: a description of it is sent. */
  readonly reasonBytesMax: number
  /** Encoded arguments of a process that is revived elsewhere. Larger: refused at the spawn. */
  readonly reviveArgsBytesMax: number
  /** Events that one state machine has postponed, or given itself, and not yet handled. Full: it ends, `system_limit`. */
  readonly machineEventsMax: number
}

const MESSAGE_BYTES_MAX = 16 * 1_048_576

export const LIMITS: Limits = Object.freeze({
  mailboxMax: 1_048_576,
  mailboxBytesMax: 64 * 1_048_576,
  processesMax: 16_777_216,
  perProcessMax: 1_048_576,
  pendingCallsMax: 1_048_576,
  nameWaitersMax: 1_024,
  streamResultsMax: 65_536,
  proceduresMax: 16_384,
  threadsMax: 64,
  namesMax: 262_144,
  registryEntriesMax: 1_048_576,
  groupScopesMax: 64,
  groupsMax: 65_536,
  groupMembersMax: 262_144,
  groupMetaBytesMax: 1_024,
  groupMonitorsMax: 65_536,
  groupIncrementsMax: 1_024,
  eventHandlersMax: 4_096,
  pidsInternedMax: 262_144,
  frameBytesMax: 128 * 1_024,
  frameBytesMaxUnauthenticated: 4 * 1_024,
  fragmentBytes: 64 * 1_024,
  messageBytesMax: MESSAGE_BYTES_MAX,
  creditBytes: 256 * 1_024,
  queueBytesBusy: 1_048_576,
  queueBytesMax: 8 * 1_048_576,
  bulkBytesMax: 2 * MESSAGE_BYTES_MAX,
  signalBytesMax: 8 * 1_048_576,
  unauthenticatedMax: 64,
  unauthenticatedPerAddressMax: 8,
  membersMax: 256,
  discoveredMax: 256,
  clientsMax: 64,
  clientRequestsMax: 256,
  depthMax: 64,
  valuesMax: 1_048_576,
  peerEntriesMax: 1_048_576,
  peerSpawnsMax: 65_536,
  reasonBytesMax: 64 * 1_024,
  reviveArgsBytesMax: 64 * 1_024,
  machineEventsMax: 1_048_576,
})

/** Bytes of a process's, cluster-wide or local, name. */
export const NAME_BYTES_MAX = 255
/** Characters of a registry's key, written out. */
export const REGISTRY_KEY_CHARS_MAX = 4_096
/** Listeners of one registry. */
export const REGISTRY_LISTENERS_MAX = 16
/** Default for everything that waits. Also how long a message to a name waits for the next holder. */
export const TIMEOUT_MS = 5_000
/** Different timeouts of calls that are kept in lists; a call with yet another has a timer of its own. */
export const TIMEOUT_LISTS_MAX = 64
/** Traces of one process at a time. More: `RangeError` at the call. */
export const TRACES_MAX = 16
/** Events of a trace that wait for its reader, unless it was given another number. Full: the oldest goes, and is counted. */
export const TRACE_EVENTS = 1_000
export const TRACE_EVENTS_MAX = 1_000_000
/** Longest wait that can be asked for: 2⁴⁸ ms are some 9,000 years; anything longer is a mistake. */
export const WAIT_MS_MAX = 2 ** 48
/** Procedures that one node lists. More: refused at `createNode`. */
export const PROCEDURES_LISTED_MAX = 65_536
/** Partitions under one name. More: refused at the call. */
export const PARTITIONS_MAX = 65_536
/** Sources of discovery of one node. More: refused at the start. */
export const DISCOVERY_SOURCES_MAX = 16
/** Bytes of a file of addresses. Larger: it is not taken. */
export const ADDRESS_FILE_BYTES_MAX = 1_048_576
