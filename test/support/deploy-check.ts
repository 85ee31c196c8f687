/**
 * What is wrong with the files of `examples/deploy`, as far as their text tells: keys that nobody knows, commands that
 * `troupe` does not understand, options that a node refuses, variables that nobody reads, ports and names that do not
 * agree. Each check returns problems, none when all is well.
 */
import { parseAllDocuments } from 'yaml'
import { COMMANDS } from '../../lib/cli/commands.js'
import { parse } from '../../lib/cli/flags.js'
import { start, startOptions } from '../../lib/cli/start.js'
import { checkNodeOptions } from '../../lib/node/options.js'
import { createRealRuntime } from '../../lib/runtime/real-runtime.js'

/** `'=x'` is that value; a key that ends in `?` may be left out; `'*'` is any key. */
type Shape = string | readonly [Shape] | { readonly [key: string]: Shape }
// biome-ignore lint/suspicious/noExplicitAny: parsed text, whose shape is checked before it is read
type Value = any

function misfits(shape: Shape, value: unknown, path: string): readonly string[] {
  if (typeof shape === 'string') {
    const fits = shape.startsWith('=') ? String(value) === shape.slice(1) : typeof value === shape
    return fits ? [] : [`${path}: expected ${shape}, got ${JSON.stringify(value)}`]
  }
  if (Array.isArray(shape)) {
    if (!Array.isArray(value) || value.length === 0) return [`${path}: expected a list`]
    return value.flatMap((item, i) => misfits(shape[0], item, `${path}[${i}]`))
  }
  if (typeof value !== 'object' || value === null) return [`${path}: expected a mapping`]
  const shapes = new Map(Object.entries(shape).map(([key, s]) => [key.replace(/\?$/, ''), s]))
  const missing = Object.keys(shape).filter(key => !/[?*]$/.test(key) && !(key in value))
  return [
    ...missing.map(key => `${path}.${key} is missing`),
    ...Object.entries(value).flatMap(([key, item]) => {
      const known = shapes.get(key) ?? shapes.get('*')
      return known === undefined ? [`${path}.${key} is unknown`] : misfits(known, item, `${path}.${key}`)
    }),
  ]
}

const problem = (holds: boolean, text: string): readonly string[] => (holds ? [] : [text])

/** Which variables the command reads, from its own sources. */
export function variablesOf(sources: readonly string[]): ReadonlySet<string> {
  return new Set(
    sources.flatMap(text => [...text.matchAll(/env\['(TROUPE_\w+)'\]/g)].map(([, name]) => name!)),
  )
}

interface Ran {
  readonly problems: readonly string[]
  readonly values: Value
}

/** Parses the words as `troupe` would, and, for `start`, what it would give to `createNode`. */
function understood(where: string, [name, ...words]: readonly string[]): Ran {
  const command = COMMANDS.find(known => known.name === name)
  if (command === undefined) return { problems: [`${where}: no command ${name}`], values: {} }
  try {
    if (command !== start) {
      return { problems: [], values: parse({ command: command.name, ...command }, words).values }
    }
    const { values } = parse({ command: 'start', words: [], flags: start.flags }, words) as { values: Value }
    const options = { ...startOptions(values, path => path), secret: 'x'.repeat(32) }
    checkNodeOptions(options, createRealRuntime())
    return { problems: [], values }
  } catch (error) {
    return { problems: [`${where}: ${(error as Error).message}`], values: {} }
  }
}

const portOf = (address: unknown): string => String(address).split(':').at(-1)!

/** What every place has in common: the ports agree, the actors are where they are, there is time to drain. */
function common(where: string, { values }: Ran, graceMs: number): readonly string[] {
  const { listen, advertise, discover, actors, drain, insecure } = values
  const dns = discover?.find((source: Value) => 'dns' in source)
  return [
    ...problem(listen === '0.0.0.0:7001', `${where}: listens on ${listen}`),
    ...problem(portOf(advertise) === portOf(listen), `${where}: advertises another port`),
    ...problem(dns === undefined || String(dns.port) === portOf(listen), `${where}: discovers another port`),
    ...problem(actors?.length === 1, `${where}: hosts no actors`),
    ...problem(insecure === true, `${where}: does not assent to plain text`),
    ...problem(drain < graceMs, `${where}: is ended before it has drained`),
  ]
}

const FIELDS: Readonly<Record<string, string>> = { 'metadata.name': 'troupe-0', 'status.podIP': '10.1.2.3' }

const LABELS = { app: '=troupe' }
const META = { name: '=troupe', 'labels?': LABELS }
const SELECTOR = { matchLabels: LABELS }
const PROBE = {
  exec: { command: ['string'] },
  periodSeconds: 'number',
  timeoutSeconds: 'number',
  'failureThreshold?': 'number',
} as const
const CONTAINER = {
  name: 'string',
  image: 'string',
  args: ['string'],
  env: [{ name: 'string', 'value?': 'string', 'valueFrom?': { '*': { '*': 'string' } } }],
  ports: [{ name: 'string', containerPort: 'number' }],
  startupProbe: PROBE,
  readinessProbe: PROBE,
  livenessProbe: PROBE,
  resources: {
    requests: { cpu: 'string', memory: 'string' },
    limits: { memory: 'string' },
  },
  securityContext: {
    allowPrivilegeEscalation: '=false',
    readOnlyRootFilesystem: '=true',
    capabilities: { drop: ['=ALL'] },
  },
} as const
const KINDS: Readonly<Record<string, Shape>> = {
  'v1 Service': {
    clusterIP: '=None',
    publishNotReadyAddresses: '=true',
    selector: LABELS,
    ports: [{ name: 'string', port: 'number', targetPort: 'string' }],
  },
  'apps/v1 StatefulSet': {
    serviceName: '=troupe',
    replicas: 'number',
    podManagementPolicy: '=Parallel',
    selector: SELECTOR,
    template: {
      metadata: { labels: LABELS },
      spec: {
        terminationGracePeriodSeconds: 'number',
        securityContext: { runAsNonRoot: '=true', runAsUser: 'number' },
        containers: [CONTAINER],
      },
    },
  },
  'policy/v1 PodDisruptionBudget': { maxUnavailable: 'number', selector: SELECTOR },
  'networking.k8s.io/v1 NetworkPolicy': {
    podSelector: SELECTOR,
    policyTypes: ['=Ingress'],
    ingress: [{ from: [{ podSelector: SELECTOR }], ports: [{ port: 'string' }] }],
  },
}

export function kubernetesProblems(text: string, variables: ReadonlySet<string>): readonly string[] {
  const documents = parseAllDocuments(text)
  const broken = documents.flatMap(document => document.errors.map(error => error.message))
  if (broken.length > 0) return broken
  const values: readonly Value[] = documents.map(document => document.toJS())
  const shapes = values.flatMap(value => {
    const kind = `${value.apiVersion} ${value.kind}`
    const spec = KINDS[kind]
    if (spec === undefined) return [`${kind} is unknown`]
    return misfits({ apiVersion: 'string', kind: 'string', metadata: META, spec }, value, kind)
  })
  if (shapes.length > 0 || values.length !== Object.keys(KINDS).length) return [...shapes, 'incomplete']
  const [service, set, , policy] = values
  return [...podProblems(set.spec.template.spec, service, variables), ...portProblems(set, service, policy)]
}

function podProblems(pod: Value, service: Value, variables: ReadonlySet<string>): readonly string[] {
  const [container] = pod.containers
  const env = new Map<string, string>(container.env.map((one: Value) => [one.name, setTo(one)]))
  const unset = [...env].filter(([, value]) => value === 'unknown').map(([name]) => `${name} has no value`)
  const unread = [...env.keys()].filter(name => name.startsWith('TROUPE_') && !variables.has(name))
  const fill = (text: string): string => text.replace(/\$\((\w+)\)/g, (all, name) => env.get(name) ?? all)
  const node = understood('StatefulSet', container.args.map(fill))
  const unfilled = container.args.map(fill).filter((word: string) => word.includes('$('))
  const unused = [...env.keys()].filter(name => {
    return !name.startsWith('TROUPE_') && !container.args.some((word: string) => word.includes(`$(${name})`))
  })
  const listens = portOf(node.values.listen)
  return [
    ...unset,
    ...unread.map(name => `nobody reads ${name}`),
    ...unused.map(name => `nobody uses ${name}`),
    ...unfilled.map((word: string) => `nobody fills ${word}`),
    ...['TROUPE_SECRET', 'TROUPE_CONNECT'].flatMap(name => problem(env.has(name), `${name} is not set`)),
    ...node.problems,
    ...common('StatefulSet', node, pod.terminationGracePeriodSeconds * 1_000),
    ...problem(node.values.name === FIELDS['metadata.name'], 'a node has the name of its pod'),
    ...problem(node.values.discover?.[0]?.dns === service.metadata.name, 'it asks for another name'),
    ...problem(env.get('TROUPE_CONNECT') === `127.0.0.1:${listens}`, 'probes ask another port'),
    ...problem(
      String(container.ports[0].containerPort) === listens,
      'the port is not the one that it listens on',
    ),
    ...['startup', 'readiness', 'liveness'].flatMap(kind => probeProblems(kind, container[`${kind}Probe`])),
  ]
}

function setTo({ value, valueFrom }: Value): string {
  if (value !== undefined) return value
  const { fieldRef, secretKeyRef, ...others } = valueFrom ?? {}
  if (Object.keys(others).length > 0) return 'unknown'
  if (secretKeyRef !== undefined) {
    const { name, key, ...more } = secretKeyRef
    return name === 'troupe' && key === 'secret' && Object.keys(more).length === 0 ? 'a secret' : 'unknown'
  }
  return FIELDS[fieldRef?.fieldPath] ?? 'unknown'
}

function probeProblems(kind: string, { exec, timeoutSeconds, periodSeconds }: Value): readonly string[] {
  const [program, ...words] = exec.command
  const { problems, values } = understood(`${kind} probe`, words)
  return [
    ...problems,
    ...problem(program === 'troupe', `${kind} probe runs ${program}`),
    ...problem(words[0] === 'nodes', `${kind} probe changes something`),
    ...problem(values.timeout < timeoutSeconds * 1_000, `${kind} probe is cut off before it answers`),
    ...problem(kind === 'startup' || timeoutSeconds <= periodSeconds, `${kind} probes overlap`),
  ]
}

function portProblems(set: Value, service: Value, policy: Value): readonly string[] {
  const [port] = set.spec.template.spec.containers[0].ports
  return [
    ...problem(service.spec.ports[0].targetPort === port.name, 'the service leads to no port'),
    ...problem(service.spec.ports[0].port === port.containerPort, 'the service has another port'),
    ...problem(service.spec.ports[0].name === port.name, 'two names for one port'),
    ...problem(policy.spec.ingress[0].ports[0].port === port.name, 'the policy opens no port'),
  ]
}

const SERVICE = {
  build: '=.',
  restart: '=unless-stopped',
  stop_grace_period: 'string',
  secrets: ['string'],
  networks: { '*': { aliases: ['string'] } },
  environment: { '*': 'string' },
  healthcheck: {
    test: ['string'],
    interval: 'string',
    timeout: 'string',
    retries: 'number',
    start_period: 'string',
  },
  command: ['string'],
} as const
const COMPOSE: Shape = {
  'x-node': { '*': '' },
  services: { '*': SERVICE },
  networks: { '*': {} },
  secrets: { '*': { file: 'string' } },
}

export function composeProblems(text: string, variables: ReadonlySet<string>): readonly string[] {
  const [document] = parseAllDocuments(text, { merge: true })
  if (document === undefined || document.errors.length > 0) return ['no YAML']
  const { 'x-node': _, ...compose }: Value = document.toJS()
  const { 'x-node': __, ...shape } = COMPOSE as Record<string, Shape>
  const shapes = misfits(shape, compose, 'compose')
  if (shapes.length > 0) return shapes
  const names = Object.keys(compose.services)
  return names.flatMap(name => serviceProblems(name, compose, variables))
}

function serviceProblems(name: string, compose: Value, variables: ReadonlySet<string>): readonly string[] {
  const service = compose.services[name]
  const [network] = Object.entries<Value>(service.networks)
  const node = understood(name, service.command)
  const { values } = node
  const [how, program, ...words] = service.healthcheck.test
  const check = understood(`${name}: health check`, words)
  const seconds = (text: string): number => (/^\d+s$/.test(text) ? Number.parseInt(text, 10) : Number.NaN)
  const file = `/run/secrets/${service.secrets[0]}`
  return [
    ...node.problems,
    ...check.problems,
    ...common(name, node, seconds(service.stop_grace_period) * 1_000),
    ...problem(values.name === name && values.advertise?.split(':')[0] === name, `${name}: another name`),
    ...problem(network !== undefined && network[0] in compose.networks, `${name}: no such network`),
    ...problem(network?.[1].aliases[0] === values.discover?.[0]?.dns, `${name}: asks for another name`),
    ...problem(service.secrets[0] in compose.secrets, `${name}: no such secret`),
    ...[node, check].flatMap(ran => problem(ran.values['secret-file'] === file, `${name}: another secret`)),
    ...Object.keys(service.environment).flatMap(key => problem(variables.has(key), `nobody reads ${key}`)),
    ...problem(
      service.environment.TROUPE_CONNECT === `127.0.0.1:${portOf(values.listen)}`,
      `${name}: asks another port`,
    ),
    ...problem(
      how === 'CMD' && program === 'troupe' && words[0] === 'nodes',
      `${name}: health check runs ${program}`,
    ),
    ...problem(
      check.values.timeout < seconds(service.healthcheck.timeout) * 1_000,
      `${name}: check is cut off`,
    ),
    ...problem(
      seconds(service.healthcheck.interval) >= seconds(service.healthcheck.timeout),
      `${name}: checks overlap`,
    ),
    ...problem(seconds(service.healthcheck.start_period) > 10, `${name}: no time to join`),
  ]
}

const SPECIFIERS: Readonly<Record<string, string>> = {
  '%l': 'node-1',
  '%H': 'node-1.example',
  '%d': '/run/credentials/troupe.service',
}

/** What `systemd-analyze verify` does not know: the words of the command, and what they lead to. */
export function unitProblems(text: string): readonly string[] {
  const lines = text.replace(/\\\n\s*/g, '').split('\n')
  const settings = new Map(
    lines.flatMap(line => {
      const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      return key === undefined ? [] : [[key, value ?? ''] as const]
    }),
  )
  const words = (settings.get('ExecStart') ?? '').split(' ')
  const filled = words.map(word => word.replace(/%\w/g, all => SPECIFIERS[all] ?? all))
  const node = understood('unit', filled.slice(1))
  const { values } = node
  const [credential] = (settings.get('LoadCredential') ?? '').split(':')
  return [
    ...node.problems,
    ...common('unit', node, Number(settings.get('TimeoutStopSec')) * 1_000),
    ...filled.filter(word => word.includes('%')).map(word => `nobody fills ${word}`),
    ...problem(words[0] === '/usr/local/bin/troupe', `runs ${words[0]}`),
    ...problem(values['secret-file'] === `${SPECIFIERS['%d']}/${credential}`, 'another secret'),
    ...problem(values.discover?.[0]?.file === '/etc/troupe/peers', 'finds nobody'),
    ...problem(settings.get('Restart') === 'always', 'does not come back'),
  ]
}

export function imageProblems(text: string, actors: string): readonly string[] {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  const has = (line: RegExp): readonly string[] =>
    problem(
      lines.some(l => line.test(l)),
      `no line ${line}`,
    )
  const unknown = lines.filter(line => !/^(FROM|WORKDIR|COPY|RUN|ENV|USER|EXPOSE|ENTRYPOINT) /.test(line))
  return [
    ...unknown.map(line => `no instruction: ${line}`),
    ...has(/^FROM node:2[02468]\S*$/),
    ...has(/^ENV .*PATH=\/app\/node_modules\/\.bin:\$PATH$/),
    ...has(/^WORKDIR \/app$/),
    ...has(/^COPY actors \.\/actors$/),
    ...problem(actors === '/app/actors', `the actors are not in ${actors}`),
    ...has(/^USER node$/),
    ...has(/^EXPOSE 7001$/),
    ...has(/^ENTRYPOINT \["troupe"\]$/),
  ]
}
