// Headless Chromium, started for one test and killed with it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// startChromium starts the browser with more arguments. gone rejects when it ends, and
// words returns what it said. With pipe, it is talked to through stdio 3 and 4.
export function startChromium(t, executable, args, { pipe = false } = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'interop-chromium-'))
  const chromium = spawn(executable, [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-proxy-server',
    `--user-data-dir=${profile}`, ...(pipe ? ['--remote-debugging-pipe'] : []), ...args,
  ], { stdio: ['ignore', 'ignore', 'pipe', ...(pipe ? ['pipe', 'pipe'] : [])], detached: true })
  let words = ''
  chromium.stderr.on('data', (part) => { words += part })
  const ended = once(chromium, 'exit')
  t.after(async () => {
    try { process.kill(-chromium.pid, 'SIGKILL') } catch {} // its children, too
    await ended
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  })
  const gone = ended.then(() => { throw new Error('Chromium ended') })
  gone.catch(() => {})
  return { stdio: chromium.stdio, gone, words: () => words }
}

// openPage shows url and returns send(method, params), which is the DevTools protocol of
// that page. Messages on the pipes are JSON and end with a zero byte.
export async function openPage(chromium, within, url) {
  const [, , , input, output] = chromium.stdio
  const waiting = new Map()
  const events = []
  let last = 0
  let rest = ''
  input.on('error', () => {}) // it has ended, which gone tells
  output.setEncoding('utf8')
  output.on('data', (part) => {
    const messages = (rest + part).split('\0')
    rest = messages.pop()
    for (const message of messages.map((text) => JSON.parse(text))) {
      const asked = waiting.get(message.id)
      waiting.delete(message.id)
      if (asked) {
        message.error ? asked.reject(new Error(`${asked.method}: ${message.error.message}`)) : asked.resolve(message.result)
      } else {
        events.forEach((listener) => listener(message))
      }
    }
  })
  const call = (method, params = {}, sessionId) => {
    const answer = new Promise((resolve, reject) => { waiting.set(++last, { method, resolve, reject }) })
    input.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`)
    return within(Promise.race([answer, chromium.gone]), method)
  }
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true })
  const send = (method, params) => call(method, params, sessionId)
  await send('Page.enable')
  const loaded = new Promise((resolve) => { events.push((m) => m.method === 'Page.loadEventFired' && resolve()) })
  await send('Page.navigate', { url })
  await within(Promise.race([loaded, chromium.gone]), 'the page')
  return send
}
