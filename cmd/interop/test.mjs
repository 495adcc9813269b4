// MQTT.js against a running Gannet, in 3.1, 3.1.1 and 5.0. run.sh starts this with
// INTEROP_ADDR set; doc.go says what the suite as a whole is about.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import test from 'node:test'
import mqtt from 'mqtt'
import { waitFor } from './wait.mjs'

const address = process.env.INTEROP_ADDR
if (!address) throw new Error('INTEROP_ADDR is not set: start the suite with run.sh')

// How long an event that must come may take. It bounds a failure, not a success.
const patience = 20_000
const within = waitFor(patience)

const versions = [
  { name: '3.1', level: 3, options: { protocolId: 'MQIsdp', protocolVersion: 3 } },
  { name: '3.1.1', level: 4, options: { protocolId: 'MQTT', protocolVersion: 4 } },
  { name: '5.0', level: 5, options: { protocolId: 'MQTT', protocolVersion: 5 } },
]
const v5 = versions[2]

// A connection whose messages wait in order until they are asked for.
class Peer {
  #waiting = []
  #readers = []

  constructor(client) {
    this.client = client
    // Once the connection ends: the Reason Code of the server's DISCONNECT, or none.
    this.lost = new Promise((resolve) => {
      client.once('disconnect', (packet) => resolve(packet.reasonCode))
      client.once('close', () => resolve(undefined))
    })
    client.on('error', () => {})
    client.on('message', (topic, payload, packet) => {
      const { qos, retain, properties } = packet
      const message = { topic, payload, qos, retain, properties }
      const reader = this.#readers.shift()
      reader ? reader(message) : this.#waiting.push(message)
    })
  }

  next() {
    const message = this.#waiting.shift()
    return message ?? within(new Promise((resolve) => this.#readers.push(resolve)), 'a message')
  }

  async expect(topic, payload, qos, retain = false) {
    const got = await this.next()
    assert.equal(got.topic, topic)
    assert.ok(got.payload.equals(Buffer.from(payload)), `${topic}: ${summary(got.payload)}, want ${summary(payload)}`)
    assert.equal(got.qos, qos, `${topic}: QoS`)
    assert.equal(got.retain, retain, `${topic}: RETAIN`)
    return got
  }

  async subscribe(filters, qos, options = {}) {
    const granted = await within(this.client.subscribeAsync(filters, { qos, ...options }), 'SUBACK')
    for (const g of granted) assert.equal(g.qos, qos, `QoS granted to ${g.topic}`)
  }

  publish(topic, payload, options = {}) {
    return within(this.client.publishAsync(topic, payload, options), `acknowledgement of ${topic}`)
  }

  // Ends with DISCONNECT; the server has closed its side by the time this returns.
  disconnect() {
    return within(this.client.endAsync(), 'the end of the connection')
  }

  // Ends the way a crash does.
  async drop() {
    this.client.stream.destroy()
    await within(this.lost, 'the end of the socket')
  }
}

function summary(payload) {
  const bytes = Buffer.from(payload)
  return bytes.length > 64 ? `${bytes.length} bytes, SHA-256 ${createHash('sha256').update(bytes).digest('hex')}` : `"${bytes}"`
}

// Connects; listeners are in place before CONNACK, since a resumed Session may deliver
// right behind it.
async function connect(t, version, id, { keep = false, will, properties = {}, ...more } = {}) {
  if (keep && version.level === 5) properties = { sessionExpiryInterval: 3600, ...properties }
  const client = mqtt.connect(`mqtt://${address}`, {
    ...version.options, clientId: id, clean: !keep, reconnectPeriod: 0, connectTimeout: patience,
    ...(will && { will }), ...(version.level === 5 && { properties }), ...more,
  })
  const peer = new Peer(client)
  t.after(() => client.endAsync(true))
  const failed = once(client, 'error').then(([error]) => { throw error })
  const [connack] = await within(Promise.race([once(client, 'connect'), failed]), 'CONNACK')
  failed.catch(() => {})
  peer.connack = connack
  return peer
}

// Every story is told in every version, with names of its own.
function each(title, story) {
  for (const version of versions) {
    const name = (suffix) => `mqttjs-${version.name}/${title}/${suffix}`
    test(`${title} (MQTT.js ${version.name})`, (t) => story(t, version, name))
  }
}

// Stories about 5.0 only.
function only5(title, story) {
  const name = (suffix) => `mqttjs-5.0/${title}/${suffix}`
  test(`${title} (MQTT.js 5.0)`, (t) => story(t, name))
}

each('every QoS reaches subscriptions of every QoS and version, in order', async (t, version, name) => {
  const publisher = await connect(t, version, name('pub'))
  for (const other of versions) {
    const subscriber = await connect(t, other, name(`sub${other.level}`))
    for (const granted of [0, 1, 2]) {
      for (const sent of [0, 1, 2]) {
        const topic = name(`${other.level}/${granted}/${sent}`)
        await subscriber.subscribe(topic, granted)
        const pending = []
        for (let i = 0; i < 20; i++) pending.push(publisher.publish(topic, `message ${i}`, { qos: sent }))
        await Promise.all(pending)
        for (let i = 0; i < 20; i++) await subscriber.expect(topic, `message ${i}`, Math.min(granted, sent))
      }
    }
  }
})

each('a retained message is set, read, replaced and cleared', async (t, version, name) => {
  const topic = name('state')
  const fence = name('fence')
  const publisher = await connect(t, version, name('pub'))
  for (const value of ['old', 'new']) await publisher.publish(topic, value, { qos: 1, retain: true })
  const reader = await connect(t, version, name('reader'))
  await reader.subscribe(topic, 1)
  await reader.expect(topic, 'new', 1, true)
  await publisher.publish(topic, 'live', { qos: 1, retain: true })
  await reader.expect(topic, 'live', 1, false)
  await publisher.publish(topic, '', { qos: 1, retain: true })
  const late = await connect(t, version, name('late'))
  await late.subscribe(topic, 1)
  await late.subscribe(fence, 1)
  await publisher.publish(fence, 'end', { qos: 1 })
  await late.expect(fence, 'end', 1)
})

each('a will follows a broken connection and not a DISCONNECT', async (t, version, name) => {
  const topic = name('will')
  const watcher = await connect(t, version, name('watcher'))
  await watcher.subscribe(topic, 2)
  for (const qos of [0, 1, 2]) {
    const will = { topic, payload: Buffer.from('gone'), qos, retain: false }
    const leaving = await connect(t, version, name(`leaving${qos}`), { will })
    await leaving.disconnect()
    const dying = await connect(t, version, name(`dying${qos}`), { will })
    await dying.drop()
    await watcher.expect(topic, 'gone', qos)
    await watcher.publish(topic, 'end', { qos: 1 })
    await watcher.expect(topic, 'end', 1)
  }
})

each('a second connection takes the first one over', async (t, version, name) => {
  const first = await connect(t, version, name('twin'))
  const second = await connect(t, version, name('twin'))
  assert.equal(await within(first.lost, 'the end of the first connection'), version.level === 5 ? 0x8e : undefined)
  await second.subscribe(name('topic'), 1)
  await second.publish(name('topic'), 'alive', { qos: 1 })
  await second.expect(name('topic'), 'alive', 1)
})

each('a resumed session delivers what was missed, in order', async (t, version, name) => {
  const topic = name('topic')
  const publisher = await connect(t, version, name('pub'))
  for (const leave of ['disconnect', 'drop']) {
    const id = name(leave)
    const sleeper = await connect(t, version, id, { keep: true })
    assert.ok(!sleeper.connack.sessionPresent, 'session present on the first connect')
    await sleeper.subscribe(topic, 2)
    await sleeper[leave]()
    for (const qos of [1, 2]) {
      for (let i = 0; i < 100; i++) await publisher.publish(topic, `missed ${i}`, { qos })
    }
    const back = await connect(t, version, id, { keep: true })
    if (version.level > 3) assert.ok(back.connack.sessionPresent, 'session present on resume')
    for (const qos of [1, 2]) {
      for (let i = 0; i < 100; i++) await back.expect(topic, `missed ${i}`, qos)
    }
    await back.disconnect()
    const clean = await connect(t, version, id)
    assert.ok(!clean.connack.sessionPresent, 'session present after a clean start')
    await clean.disconnect()
  }
})

each('large payloads arrive intact', async (t, version, name) => {
  const probe = await connect(t, v5, name('probe'))
  const limit = probe.connack.properties.maximumPacketSize
  const peer = await connect(t, version, name('c'))
  await peer.subscribe(name('topic'), 2)
  for (const size of [1 << 20, limit - 1024]) {
    const payload = Buffer.alloc(size)
    for (let i = 0, state = size | 1; i < size; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      payload[i] = state >>> 24
    }
    for (const qos of [1, 2]) {
      await peer.publish(name('topic'), payload, { qos })
      await peer.expect(name('topic'), payload, qos)
    }
  }
})

each('many topics go to the right subscriptions', async (t, version, name) => {
  const topics = Array.from({ length: 500 }, (_, i) => name(`${i % 7}/${i % 11}/${i}`))
  const peer = await connect(t, version, name('c'))
  const publisher = await connect(t, version, name('pub'))
  await peer.subscribe(topics, 1)
  await Promise.all(topics.map((topic) => publisher.publish(topic, topic, { qos: 1 })))
  for (const topic of topics) await peer.expect(topic, topic, 1)
  const even = topics.filter((_, i) => i % 2 === 0)
  await within(peer.client.unsubscribeAsync(even), 'UNSUBACK')
  await Promise.all(topics.map((topic) => publisher.publish(topic, topic, { qos: 1 })))
  for (const topic of topics.filter((_, i) => i % 2 === 1)) await peer.expect(topic, topic, 1)
})

only5('a shared subscription gives each message to one member', async (t, name) => {
  const count = 300
  const members = []
  for (let i = 0; i < 3; i++) {
    const member = await connect(t, v5, name(`member${i}`))
    await member.subscribe([`$share/workers/${name('topic')}`, name('fence')], 1)
    members.push(member)
  }
  const publisher = await connect(t, v5, name('pub'))
  for (let i = 0; i < count; i++) await publisher.publish(name('topic'), `${i}`, { qos: 1 })
  await publisher.publish(name('fence'), 'end', { qos: 1 })
  const seen = []
  for (const member of members) {
    const before = seen.length
    for (let m = await member.next(); m.topic !== name('fence'); m = await member.next()) seen.push(Number(m.payload))
    assert.notEqual(seen.length, before, 'a member got nothing')
  }
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i))
})

only5('properties arrive unchanged', async (t, name) => {
  const properties = {
    contentType: 'application/json', responseTopic: 'answers/here', correlationData: Buffer.from([0, 1, 255]),
    payloadFormatIndicator: true, userProperties: { unit: ['kelvin', 'again'], ключ: 'значение' },
  }
  const peer = await connect(t, v5, name('c'))
  await peer.subscribe(name('topic'), 2, { properties: { subscriptionIdentifier: 300 } })
  await peer.publish(name('topic'), '{}', { qos: 2, properties: { ...properties, messageExpiryInterval: 60 } })
  const got = await peer.expect(name('topic'), '{}', 2)
  assert.ok(got.properties.messageExpiryInterval > 0 && got.properties.messageExpiryInterval <= 60)
  assert.equal(got.properties.subscriptionIdentifier, 300)
  const { contentType, responseTopic, correlationData, payloadFormatIndicator, userProperties } = got.properties
  assert.deepEqual({ contentType, responseTopic, correlationData, payloadFormatIndicator, userProperties: { ...userProperties } }, properties)
})

only5('the properties of a will arrive unchanged', async (t, name) => {
  const properties = { contentType: 'text/plain', responseTopic: 'why', userProperties: { cause: 'unknown' } }
  const watcher = await connect(t, v5, name('watcher'))
  await watcher.subscribe(name('will'), 1)
  const will = { topic: name('will'), payload: Buffer.from('gone'), qos: 1, retain: false, properties }
  const dying = await connect(t, v5, name('dying'), { will })
  await dying.drop()
  const got = await watcher.expect(name('will'), 'gone', 1)
  assert.equal(got.properties.contentType, 'text/plain')
  assert.equal(got.properties.responseTopic, 'why')
  assert.deepEqual({ ...got.properties.userProperties }, properties.userProperties)
})

only5('a request is answered on its response topic', async (t, name) => {
  const responder = await connect(t, v5, name('responder'))
  const requester = await connect(t, v5, name('requester'))
  await responder.subscribe(name('requests'), 1)
  await requester.subscribe(name('answers'), 1)
  for (let i = 0; i < 10; i++) {
    const correlationData = Buffer.from([i])
    await requester.publish(name('requests'), `question ${i}`, { qos: 1, properties: { responseTopic: name('answers'), correlationData } })
    const question = await responder.next()
    await responder.publish(question.properties.responseTopic, `answer to ${question.payload}`, {
      qos: 1, properties: { correlationData: question.properties.correlationData },
    })
    const answer = await requester.expect(name('answers'), `answer to question ${i}`, 1)
    assert.deepEqual(answer.properties.correlationData, correlationData)
  }
})

only5('topic aliases work both ways', async (t, name) => {
  const publisher = await connect(t, v5, name('pub'), { autoAssignTopicAlias: true })
  const subscriber = await connect(t, v5, name('sub'), { properties: { topicAliasMaximum: 4 } })
  await subscriber.subscribe(name('#'), 1)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) {
      await publisher.publish(name(`${i}`), `${i}`, { qos: 1 })
      await subscriber.expect(name(`${i}`), `${i}`, 1)
    }
  }
})

only5('the server assigns a client identifier', async (t) => {
  const names = []
  for (let i = 0; i < 2; i++) names.push((await connect(t, v5, '')).connack.properties.assignedClientIdentifier)
  assert.ok(names[0] && names[1] && names[0] !== names[1], `assigned ${names}`)
})
