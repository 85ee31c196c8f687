import t from 'tap'
import type { NodeDescription } from '../lib/actor/api.js'
import { formatAddress } from '../lib/base/address.js'
import type { Runtime } from '../lib/base/runtime.js'
import { checkDescription, checkNodeOptions, type NodeOptions } from '../lib/node/options.js'

/** Just enough of an edge for a default name. */
const runtime = {
  host: { hostname: 'Büro PC.local' },
  random: { fork: () => ({ bytes: (n: number) => new Uint8Array(n).fill(1) }) },
} as unknown as Runtime
const check = (options: unknown) => checkNodeOptions(options as NodeOptions, runtime)
const secret = 'x'.repeat(32)
const actor = (name: string): unknown => Object.freeze({ name, spec: {} })

t.test(
  'every wrong option is refused at the call, by its name, with what was expected and what came',
  async t => {
    const wrong: [unknown, RegExp][] = [
      [7, /createNode: options: expected an object, got 7/],
      [{ nmae: 'a' }, /unknown option "nmae"; expected one of name, cluster, listen/],
      [{ name: 7 }, /name: expected a string, got 7/],
      [{ name: 'Ärger' }, /not a node name: .* got "Ärger"/],
      [{ name: '' }, /not a node name/],
      [{ name: 'a'.repeat(65) }, /not a node name/],
      [{ name: 'ring' }, /not a node name: .* other than ring, worker, local; got "ring"/],
      [{ cluster: 'a b' }, /cluster: expected 1 to 64 of letters/],
      [{ listen: 7001 }, /listen: expected a string, got 7001/],
      [{ listen: '127.0.0.1' }, /listen: expected host:port .* got "127.0.0.1"/],
      [{ listen: '127.0.0.1:65536' }, /listen: expected host:port with a port from 0 to 65535/],
      [{ listen: '127.0.0.1:-1' }, /listen: expected host:port/],
      [{ listen: '0.0.0.0:7001' }, /listen: 0\.0\.0\.0:7001 is not a loopback address.*insecure: true/],
      [{ listen: '10.1.2.3:7001', secret }, /listen: .* is not a loopback address/],
      [{ listen: '127.evil.example:7001' }, /is not a loopback address/],
      [{ seeds: '127.0.0.1:7001' }, /seeds: expected an array/],
      [{ seeds: [7] }, /seeds: expected an array whose every item is a string \(item 0 is 7\)/],
      [{ seeds: ['127.0.0.1:0'] }, /seeds\[0\]: expected host:port with a port from 1 to 65535/],
      [{ secret: 'short' }, /secret: expected a string of at least 32 bytes, got 5 bytes/],
      [{ secret: 7 }, /secret: expected a string of at least 32 bytes, got a number/],
      [{ secret: [] }, /secret: expected a string or 1 to 4 of them, got 0/],
      [{ secret: [secret, 'short'] }, /secret: expected a string of at least 32 bytes, got 5 bytes/],
      [{ insecure: 'yes' }, /insecure: expected true or false, got "yes"/],
      [{ actors: {} }, /actors: expected an array/],
      [{ actors: [{}] }, /actors: .* what defineActor returned/],
      [{ actors: [actor('x'), actor('x')] }, /actors: two definitions are named "x"/],
      [{ tags: ['a b'] }, /tags: expected an array whose every item is 1 to 64/],
      [{ tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }, /tags: expected at most 64, got 65/],
      [{ meta: [] }, /meta: expected an object, got an array of 0/],
      [{ meta: { zone: 1 } }, /meta: "zone": expected a string, got 1/],
      [{ meta: { zone: 'x'.repeat(512) } }, /meta: expected at most 512 bytes as JSON/],
      [{ profile: 'wan' }, /profile: expected 'local', 'lan', got "wan"/],
      [{ limits: { mailboxMax: 0 } }, /limits: mailboxMax: expected a whole number from 1/],
      [{ limits: { mailboxMx: 1 } }, /limits: unknown option "mailboxMx"/],
      [
        { limits: { messageBytesMax: 2 ** 31 } },
        /messageBytesMax: expected a whole number from 1024 to 1073741824/,
      ],
      [
        { limits: { fragmentBytes: 131_072 } },
        /fragmentBytes \(131072\) must be at least 1024 below frameBytesMax/,
      ],
      [{ mailboxPolicy: 'drop' }, /mailboxPolicy: expected 'fail', 'drop-new', 'drop-old', got "drop"/],
      [
        { logger: console.log },
        /logger: expected false or an object with the functions debug, info, warn, error/,
      ],
      [{ resolver: 'newest' }, /resolver: expected 'oldest', 'notify', 'none', got "newest"/],
      [{ serializeLocal: 1 }, /serializeLocal: expected true or false/],
      [{ runtime: 7 }, /runtime: expected an object/],
    ]
    for (const [options, message] of wrong) t.throws(() => check(options), message, JSON.stringify(options))
  },
)

t.test('a new description is checked as the first one was, by the name of its option', async t => {
  const describe = (given: unknown) => () => checkDescription(given as NodeDescription)
  t.throws(describe(7), /update: options: expected an object, got 7/)
  t.throws(describe({ tag: 'gpu' }), /update: unknown option "tag"; expected one of tags, meta/)
  t.throws(describe({ tags: ['a b'] }), /update: tags: expected an array whose every item is 1 to 64/)
  t.throws(
    describe({ tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }),
    /update: tags: expected at most 64/,
  )
  t.throws(describe({ meta: { zone: 1 } }), /update: meta: "zone": expected a string, got 1/)
  t.throws(describe({ meta: { zone: 'x'.repeat(512) } }), /update: meta: expected at most 512 bytes as JSON/)
  t.strictSame(
    checkDescription({ tags: ['b', 'a', 'b'] }),
    { tags: ['a', 'b'] },
    'what is left out stays out',
  )
})

t.test('a mistaken secret is never shown', async t => {
  try {
    check({ secret: 'my-short-secret' })
    t.fail('was accepted')
  } catch (error) {
    t.notMatch(String(error), /my-short/)
  }
})

t.test('a number out of range is a RangeError, a wrong kind of value a TypeError', async t => {
  t.throws(() => check({ limits: { depthMax: 0 } }), RangeError)
  t.throws(() => check({ limits: { depthMax: 'deep' } }), TypeError)
})

t.test('defaults: a readable name, no socket without listen and seeds, loopback with seeds', async t => {
  const alone = check({})
  t.equal(alone.name, 'b-ro-pc.local-bbbbbb')
  t.equal(alone.listen, undefined)
  t.equal(alone.cluster, 'troupe')
  const joined = check({ seeds: ['db.example:7001', '[::1]:7002'] })
  t.strictSame(joined.listen, { host: '127.0.0.1', port: 0 })
  t.strictSame(joined.seeds.map(formatAddress), ['db.example:7001', '[::1]:7002'])
})

t.test('what follows from another option follows it: bulk queues from the size of a message', async t => {
  t.equal(check({ limits: { messageBytesMax: 2 ** 27 } }).limits.bulkBytesMax, 2 ** 28)
  t.equal(check({ limits: { messageBytesMax: 2 ** 27 } }).limits.mailboxBytesMax, 2 ** 28)
  t.equal(check({ limits: { messageBytesMax: 2 ** 27, bulkBytesMax: 2 ** 27 } }).limits.bulkBytesMax, 2 ** 27)
})

t.test('loopback in every form needs no consent, and consent opens the rest', async t => {
  for (const listen of ['127.0.0.1:0', '127.8.9.10:1', 'localhost:1', '[::1]:1'])
    t.ok(check({ listen }).listen, listen)
  t.strictSame(check({ listen: '0.0.0.0:7001', insecure: true, advertise: 'a:7001' }).listen, {
    host: '0.0.0.0',
    port: 7_001,
  })
})
