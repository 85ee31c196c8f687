#!/usr/bin/env node
/** The executable: gives `run` the real world, and the world its exit status. */
import { moduleLoader, packageVersion } from '../runtime/module-loader.js'
import { createRealRuntime } from '../runtime/real-runtime.js'
import { createTerminal } from '../runtime/terminal.js'
import { run } from './run.js'

const terminal = createTerminal()
void run({ terminal, runtime: createRealRuntime(), loader: moduleLoader }, packageVersion()).then(code =>
  terminal.setExitCode(code),
)
