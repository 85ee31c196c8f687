/** troupe: actors, links, monitors, supervision and names across Node.js processes. */
export { Agent, type AgentDef, type AgentOf, type AgentOptions, defineAgent } from './actor/agent.js'
export type {
  ActorRef,
  AnyRef,
  Asked,
  CallOptions,
  Context,
  CrashReport,
  From,
  HealthReason,
  InitContext,
  MonitorOptions,
  NameInfo,
  Node,
  NodeDescription,
  NodeEvents,
  NodeHealth,
  NodeStats,
  Overrun,
  ProcessBranch,
  ProcessInfo,
  ReceiveOptions,
  RestartIntensity,
  RunOptions,
  Self,
  Signal,
  SpawnOptions,
  Speaker,
  To,
  Via,
  ViaName,
} from './actor/api.js'
export type {
  Debug,
  Inspected,
  MailShown,
  ProcessDetails,
  ProcessStatus,
  StateOptions,
  Trace,
  TraceEvent,
  TraceOptions,
} from './actor/debug.js'
export {
  type ActorDef,
  type ActorSpec,
  type AnyActor,
  type ArgsOf,
  type CallIn,
  type CallOut,
  type CastIn,
  defineActor,
  type Later,
  type Payload,
  type Reply,
  type SpawnRest,
} from './actor/define.js'
export {
  type AnyEvent,
  defineEventHandler,
  type HandlerArgs,
  type HandlerCallIn,
  type HandlerCallOut,
  type HandlerContext,
  type HandlerDef,
  type HandlerEnd,
  type HandlerExit,
  type HandlerOf,
  type HandlerSpec,
} from './actor/event-handler.js'
export {
  defineEvents,
  type EventManager,
  type EventsDef,
  eventManager,
  type HandlerOptions,
} from './actor/event-manager.js'
export type {
  GroupListener,
  GroupMeta,
  Groups,
  GroupView,
  GroupWatch,
  Joining,
  JoinOptions,
  Left,
  OwnGroups,
  Present,
  Published,
  ScopeWatch,
} from './actor/groups.js'
export type { HandlerInfo } from './actor/handler-table.js'
export { type MultiCallOptions, type MultiReplies, multiCall } from './actor/multi-call.js'
export {
  type AnyProcedure,
  defineProcedure,
  type InputOf,
  type OutputOf,
  type Procedure,
  type RemoteError,
  type Rpc,
  type RpcFailure,
  type RpcMany,
  type RpcOn,
  type RpcResult,
} from './actor/procedure.js'
export { isSignal } from './actor/signals.js'
export type { Discovery, DiscoveryTiming, DnsDiscovery, FindAddresses } from './base/discovery.js'
export { type ErrorCode, TroupeError } from './base/errors.js'
export { type NodeId, Pid, parsePid, Ref, samePid, sameRef } from './base/ids.js'
export type { Limits } from './base/limits.js'
export type { Logger } from './base/log.js'
export type { DownReason, Member, MemberState, MembersView, Quorum } from './base/member.js'
export type { WaitOptions } from './base/options.js'
export { type ExitReason, isCleanExit, isShutdown } from './base/reasons.js'
export type {
  Address,
  Clock,
  DialResult,
  Disk,
  Host,
  Listener,
  Loop,
  Random,
  ResolveOptions,
  Resolver,
  Runtime,
  Speech,
  Stream,
  StreamHandlers,
  ThreadJob,
  ThreadRun,
  Timer,
  Transport,
  Watch,
} from './base/runtime.js'
export type { PartitionPolicy } from './coord/quorum.js'
export {
  defineMachine,
  type MachineContext,
  type MachineDef,
  type MachineSpec,
  type StateSpec,
} from './machine/machine.js'
export { toMermaid } from './machine/mermaid.js'
export {
  go,
  type InternalEvent,
  internal,
  postpone,
  type Result,
  type ResultKind,
  type ResultOptions,
  repeat,
  type StopOptions,
  stay,
  stop,
  type TimeoutSetting,
} from './machine/results.js'
export { createNode } from './node/node.js'
export type { NodeOptions } from './node/options.js'
export type {
  DownSignal,
  ExitSignal,
  GroupSignal,
  NameOnNode,
  NodeDownSignal,
  NodeUpSignal,
  Sent,
  TimerSignal,
} from './process/mail.js'
export {
  defineRegistry,
  type Held,
  type Registered,
  type Registry,
  type RegistryNotice,
  type RegistryOptions,
  via,
} from './registry/registry.js'
export { isRemoteError } from './remote/rpc.js'
export type { ChildOutcome } from './supervisor/answers.js'
export {
  type ApplicationPart,
  type ApplicationRef,
  type ApplicationSpec,
  startApplication,
} from './supervisor/application.js'
export {
  type ChildOptions,
  type ChildSpec,
  child,
  type Restart,
  type ShutdownMs,
} from './supervisor/child-spec.js'
export {
  type DynamicSupervisorDef,
  type DynamicSupervisorRef,
  type DynamicSupervisorSpec,
  dynamicSupervisor,
  dynamicSupervisorOf,
  startDynamicSupervisor,
} from './supervisor/dynamic-supervisor.js'
export type { PartitionKey } from './supervisor/partition-key.js'
export {
  type PartitionSupervisorDef,
  type PartitionSupervisorRef,
  type PartitionSupervisorSpec,
  partitionSupervisor,
  partitionsOf,
  startPartitionSupervisor,
} from './supervisor/partition-supervisor.js'
export type { BackOff } from './supervisor/restart-back-off.js'
export type { AutoShutdown, Strategy } from './supervisor/restart-plan.js'
export {
  type NameOptions,
  type SupervisorDef,
  type SupervisorRef,
  type SupervisorSpec,
  startSupervisor,
  supervisor,
  supervisorOf,
} from './supervisor/supervisor.js'
export type { ChildCounts, ChildInfo } from './supervisor/tree.js'
export type { TaskFunction } from './task/job.js'
export type { TaskResult } from './task/outcome.js'
export type { StreamOptions, ZippedResult } from './task/stream.js'
export { type AsyncStream, Task, type YieldManyOptions } from './task/task.js'
export {
  type StartTaskOptions,
  type SupervisedOptions,
  startTaskSupervisor,
  type TaskSupervisorDef,
  type TaskSupervisorRef,
  type TaskSupervisorSpec,
  taskSupervisor,
  taskSupervisorOf,
} from './task/task-supervisor.js'
export { runInWorker, type WorkerOptions } from './task/worker.js'
