import {
  DownSignal,
  ExitSignal,
  GroupSignal,
  NodeDownSignal,
  NodeUpSignal,
  TimerSignal,
} from '../process/mail.js'
import type { Signal } from './api.js'

type Told = DownSignal | ExitSignal | GroupSignal | TimerSignal | NodeUpSignal | NodeDownSignal

/**
 * Whether what a process function received is a signal: an exit, a down, a timer, a group's, a node that came or went.
 * By its class, which users cannot construct, so that no plain message can pass for one. (Timeouts and wrapped messages
 * are told to `info` alone.)
 */
export const isSignal = (value: unknown): value is Extract<Signal, Told> =>
  value instanceof ExitSignal ||
  value instanceof DownSignal ||
  value instanceof TimerSignal ||
  value instanceof GroupSignal ||
  value instanceof NodeUpSignal ||
  value instanceof NodeDownSignal
