// MQTT over WebSocket, by MQTT.js in Node and in headless Chromium. web_test.go starts a
// broker, and this with
//
//	INTEROP_WS, INTEROP_WSS   ports of 127.0.0.1
//	INTEROP_CA                file of the authority that the wss port's certificate is from
//	INTEROP_SPKI              hash of the public key in it, for Chromium
//	INTEROP_CHROMIUM          the browser
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import test from 'node:test'
import mqtt from 'mqtt'
import WebSocket from 'ws'
import { startChromium } from '../chromium.mjs'
import { waitFor } from '../wait.mjs'

const { INTEROP_WS, INTEROP_WSS, INTEROP_CA, INTEROP_SPKI, INTEROP_CHROMIUM } = process.env
for (const name of ['INTEROP_WS', 'INTEROP_WSS', 'INTEROP_CA', 'INTEROP_SPKI', 'INTEROP_CHROMIUM']) {
  if (!process.env[name]) throw new Error(`${name} is not set: start the suite with run.sh`)
}

// How long an event that must come may take. It bounds a failure, not a success.
const patience = 30_000
const within = waitFor(patience)

const transports = [
  { name: 'ws', url: `ws://127.0.0.1:${INTEROP_WS}`, options: {} },
  { name: 'wss', url: `wss://127.0.0.1:${INTEROP_WSS}`, options: { ca: readFileSync(INTEROP_CA) } },
]
const versions = [
  { name: '3.1', options: { protocolId: 'MQIsdp', protocolVersion: 3 } },
  { name: '3.1.1', options: { protocolVersion: 4 } },
  { name: '5.0', options: { protocolVersion: 5 } },
]

async function connect(t, transport, options = {}, path = '/mqtt') {
  const client = mqtt.connect(transport.url + path, { ...transport.options, reconnectPeriod: 0, connectTimeout: patience, ...options })
  t.after(() => client.endAsync(true))
  const failed = once(client, 'error').then(([error]) => { throw error })
  await within(Promise.race([once(client, 'connect'), failed]), 'CONNACK')
  failed.catch(() => {})
  client.on('error', () => {})
  client.inbox = []
  client.readers = []
  client.on('message', (topic, payload, { qos, retain }) => {
    const message = { topic, payload, qos, retain }
    const reader = client.readers.shift()
    reader ? reader(message) : client.inbox.push(message)
  })
  client.next = () => client.inbox.shift() ?? within(new Promise((resolve) => client.readers.push(resolve)), 'a message')
  return client
}

function bytes(size) {
  const b = Buffer.alloc(size)
  for (let i = 0, state = size | 1; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    b[i] = state >>> 24
  }
  return b
}

for (const transport of transports) {
  for (const version of versions) {
    const name = (suffix) => `web/${transport.name}/${version.name}/${suffix}`
    const options = (suffix) => ({ ...version.options, clientId: name(suffix) })
    const title = `MQTT.js ${version.name} over ${transport.name}`

    test(`${title}: every QoS arrives in order`, async (t) => {
      const client = await connect(t, transport, options('qos'))
      for (const qos of [0, 1, 2]) {
        const topic = name(`qos/${qos}`)
        await within(client.subscribeAsync(topic, { qos }), 'SUBACK')
        for (let i = 0; i < 20; i++) await within(client.publishAsync(topic, `${i}`, { qos }), 'acknowledgement')
        for (let i = 0; i < 20; i++) {
          const got = await client.next()
          assert.deepEqual({ ...got, payload: `${got.payload}` }, { topic, payload: `${i}`, qos, retain: false })
        }
      }
    })

    test(`${title}: payloads of all sizes around the frame formats, and a megabyte`, async (t) => {
      const client = await connect(t, transport, options('sizes'))
      const topic = name('sizes')
      await within(client.subscribeAsync(topic, { qos: 2 }), 'SUBACK')
      for (const size of [0, 1, 60, 100, 125, 126, 127, 4096, 16384, 65500, 65535, 65536, 65537, 1 << 20]) {
        for (const qos of [0, 1, 2]) {
          await within(client.publishAsync(topic, bytes(size), { qos }), `${size} bytes with QoS ${qos}`)
          const got = await client.next()
          assert.ok(got.payload.equals(bytes(size)), `${size} bytes with QoS ${qos} changed`)
        }
      }
    })

    test(`${title}: a hundred messages at once`, async (t) => {
      const client = await connect(t, transport, options('many'))
      const other = await connect(t, transport, options('many-other'))
      const topic = name('many')
      await within(other.subscribeAsync(topic, { qos: 2 }), 'SUBACK')
      for (const qos of [0, 1, 2]) {
        const sent = Array.from({ length: 100 }, (_, i) => client.publishAsync(topic, `${qos} ${i}`, { qos }))
        await within(Promise.all(sent), 'all acknowledgements')
        for (let i = 0; i < 100; i++) assert.equal(`${(await other.next()).payload}`, `${qos} ${i}`)
      }
    })
  }

  test(`MQTT.js over ${transport.name}: any path, a will, and a ping`, async (t) => {
    const watcher = await connect(t, transport, { clientId: `watcher-${transport.name}` }, '/')
    await within(watcher.subscribeAsync('wills', { qos: 1 }), 'SUBACK')
    const will = { topic: 'wills', payload: Buffer.from('gone'), qos: 1, retain: false }
    const dying = await connect(t, transport, { clientId: `dying-${transport.name}`, will, keepalive: 1 }, '/some/where?a=b')
    await within(new Promise((resolve) => dying.on('packetreceive', (p) => p.cmd === 'pingresp' && resolve())), 'PINGRESP')
    dying.stream.destroy()
    assert.equal(`${(await watcher.next()).payload}`, 'gone')
  })

  test(`MQTT.js over ${transport.name}: another subprotocol is refused`, async (t) => {
    const client = mqtt.connect(transport.url, {
      ...transport.options, reconnectPeriod: 0, createWebsocket: (url) => new WebSocket(url, ['chat'], transport.options),
    })
    t.after(() => client.endAsync(true))
    await within(Promise.race([once(client, 'error'), once(client, 'close')]), 'the refusal')
    assert.equal(client.connected, false)
  })

  test(`headless Chromium over ${transport.name} connects, subscribes and publishes with QoS 1`, async (t) => {
    const outside = await connect(t, transport, { clientId: `outside-${transport.name}` })
    await within(outside.subscribeAsync('from/page', { qos: 1 }), 'SUBACK')
    const report = await page(t, transport)
    assert.deepEqual(report, { received: ['hello from the page', 'x'.repeat(100_000)], dom: 'hello from the page', protocol: 'mqtt' })
    const got = await outside.next()
    assert.equal(`${got.payload}`, 'hello from the page')
    assert.equal(got.qos, 1)
  })
}

test('Node without the authority does not trust wss', async (t) => {
  const client = mqtt.connect(transports[1].url, { reconnectPeriod: 0 })
  t.after(() => client.endAsync(true))
  const [error] = await within(once(client, 'error'), 'the refusal')
  assert.match(`${error.code} ${error.message}`, /UNABLE_TO|SELF_SIGNED|unable to/)
})

// page runs Chromium on a page that talks to the broker with MQTT.js's bundle, and
// resolves with what the page reports: a POST to the server that it came from.
async function page(t, transport) {
  let reported
  const report = new Promise((resolve) => { reported = resolve })
  const server = createServer((request, response) => {
    if (request.url === '/mqtt.js') {
      response.setHeader('Content-Type', 'text/javascript')
      response.end(readFileSync(new URL('../node_modules/mqtt/dist/mqtt.min.js', import.meta.url)))
    } else if (request.method === 'POST') {
      let body = ''
      request.on('data', (part) => { body += part })
      request.on('end', () => { response.end(); reported(JSON.parse(body)) })
    } else if (request.url === '/') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.end(document(transport.url))
    } else {
      response.statusCode = 404
      response.end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.closeAllConnections(); server.close() })

  const chromium = startChromium(t, INTEROP_CHROMIUM,
    [`--ignore-certificate-errors-spki-list=${INTEROP_SPKI}`, `http://127.0.0.1:${server.address().port}/`])
  try {
    return await within(Promise.race([report, chromium.gone]), 'the report of the page')
  } catch (error) {
    error.message += `\n${chromium.words()}`
    throw error
  }
}

function document(url) {
  return `<!doctype html><title>MQTT</title><p id="shown"></p><script src="/mqtt.js"></script><script>
const report = (what) => fetch('/report', { method: 'POST', body: JSON.stringify(what) })
window.onerror = (message) => report({ error: String(message) })
const received = []
const client = mqtt.connect(${JSON.stringify(url)}, { clientId: 'page-' + location.port, reconnectPeriod: 0, protocolVersion: 5 })
client.on('error', (error) => report({ error: String(error) }))
client.on('message', (topic, payload) => {
  received.push(payload.toString())
  if (received.length === 1) document.getElementById('shown').textContent = received[0]
  if (received.length < 2) return
  report({ received, dom: document.getElementById('shown').textContent, protocol: client.stream.socket.protocol })
})
client.on('connect', async () => {
  await client.subscribeAsync('page/' + location.port, { qos: 1 })
  await client.publishAsync('from/page', 'hello from the page', { qos: 1 })
  await client.publishAsync('page/' + location.port, 'hello from the page', { qos: 1 })
  await client.publishAsync('page/' + location.port, 'x'.repeat(100000), { qos: 1 })
})
</script>`
}
