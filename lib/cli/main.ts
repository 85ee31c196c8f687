#!/usr/bin/env node
/** The executable: gives `run` the real world, and the world its exit status. */
import { createRequire } from 'node:module'
import { moduleLoader } from '../runtime/module-loader.js'
import { createRealRuntime } from '../runtime/real-runtime.js'
import { createTerminal } from '../runtime/terminal.js'
import { run } from './run.js'

const { version } = createRequire(import.meta.url)('troupe/package.json') as { version: string }
const terminal = createTerminal()
void run({ terminal, runtime: createRealRuntime(), loader: moduleLoader }, version).then(code =>
  terminal.setExitCode(code),
)
