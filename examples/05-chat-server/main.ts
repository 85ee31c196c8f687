/** The chat server of the OTP books: rooms, users, who is present, and a crash in one room that no other one feels. */
import { child, createNode, dynamicSupervisor, dynamicSupervisorOf, startSupervisor, via } from 'troupe'
import { hall, openRoom, room, rooms } from './room.js'
import { user } from './user.js'

await using node = await createNode({ name: 'chat', logger: false })
const guests = dynamicSupervisor()
await startSupervisor(node, {
  strategy: 'rest_for_one',
  children: [
    child(rooms),
    child(hall, { id: 'hall', name: 'hall', scope: 'node' }),
    child(guests, { id: 'guests', name: 'guests', scope: 'node' }),
  ],
})
const arrive = (nick: string) =>
  dynamicSupervisorOf(node.named('guests', guests)).startChild(
    child(user, { args: nick, restart: 'temporary' }),
  )
const who = async (title: string): Promise<void> =>
  console.log(`in the ${title}:`, (await node.named(via(rooms, title), room).call('who')).join(', '))

await openRoom(node, 'lobby')
await openRoom(node, 'kitchen')
const [ann, ben, cleo] = [await arrive('ann'), await arrive('ben'), await arrive('cleo')]
await ann.call('join', 'lobby')
await ben.call('join', 'lobby')
await ben.call('join', 'kitchen')
await cleo.call('join', 'kitchen')
await ann.call('say', { to: 'lobby', text: 'hello' })
await ann.call('rooms') // answered behind what she has been told

console.log('-- the kitchen crashes')
const lobby = node.whereis(via(rooms, 'lobby'), room)?.pid
console.log('heard:', await cleo.call('say', { to: 'kitchen', text: '/crash' }))
console.log('ben is in:', await ben.call('rooms'))
console.log('cleo is in:', await cleo.call('rooms'))
console.log('the same lobby:', node.whereis(via(rooms, 'lobby'), room)?.pid === lobby)
await who('kitchen')

console.log('-- ben closes his laptop')
node.exit(ben.pid, 'connection lost')
await who('lobby')
await who('kitchen')
await ann.call('rooms')
await cleo.call('rooms')
