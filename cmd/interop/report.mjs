// The report of gannet bench compare, of a short comparison of real brokers, looked at in
// headless Chromium: wide and as narrow as a telephone, light and dark. run.sh starts this
// with
//
//	INTEROP_BIN        the gannet binary
//	INTEROP_ADDR       host:port of a running broker, one of those compared
//	INTEROP_CHROMIUM   the browser
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pathToFileURL } from 'node:url'
import { openPage, startChromium } from './chromium.mjs'
import { waitFor } from './wait.mjs'

const { INTEROP_BIN, INTEROP_ADDR, INTEROP_CHROMIUM } = process.env
for (const name of ['INTEROP_BIN', 'INTEROP_ADDR', 'INTEROP_CHROMIUM']) {
  if (!process.env[name]) throw new Error(`${name} is not set: start the suite with run.sh`)
}

// How long an event that must come may take. It bounds a failure, not a success.
const patience = 120_000
const within = waitFor(patience)

const folder = mkdtempSync(join(tmpdir(), 'interop-report-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

async function compare(out, ...args) {
  const command = spawn(INTEROP_BIN, ['bench', 'compare', '--out', join(folder, out), ...args])
  let words = ''
  for (const stream of [command.stdout, command.stderr]) stream.on('data', (part) => { words += part })
  const [status] = await within(once(command, 'close'), 'the comparison')
  return { status, words, results: () => JSON.parse(readFileSync(join(folder, out, 'results.json'), 'utf8')) }
}

test('the report of a comparison', async (t) => {
  const fails = join(folder, 'fails.yaml')
  writeFileSync(fails, 'name: fails\nprogram: /bin/false\nversion: [x]\n')
  const ran = await compare('real', '--peers', `gannet,mosquitto,${INTEROP_ADDR},nats-server`, '--program', 'nats-server=/no/such/nats-server',
    '--peer', fails, '--scenarios', 'p2p-qos0,single-qos1,idle', '--rounds', '2', '--seconds', '0.1',
    '--connections', '50,150', '--settle', '50ms')
  assert.equal(ran.status, 1, ran.words) // of the broker that does not start
  const results = ran.results()
  assert.deepEqual(results.peers.map((p) => p.name), ['gannet', 'mosquitto', INTEROP_ADDR, 'fails'])
  assert.deepEqual(results.absent.map((p) => p.name), ['nats-server'])
  for (const scenario of results.scenarios) {
    assert.deepEqual(scenario.columns.map((c) => (c.runs ?? []).length), [2, 2, 2, 0], ran.words)
    assert.equal(scenario.columns[3].failed.length, 2)
  }
  await look(t, 'real', results)
})

test('the report of results that nobody would want', async (t) => {
  const results = JSON.parse(readFileSync(join(folder, 'real', 'results.json'), 'utf8'))
  results.peers[1].name = '<script>document.title = "gone"</script><img src=x onerror="document.title = 1">'
  results.peers[3].name = 'W'.repeat(300)
  results.scenarios[0].about = `${'x'.repeat(500)} <style>body { display: none }</style>`
  results.scenarios[0].columns[1].faults.lost = 123_456_789
  results.scenarios[0].columns[1].faults.reordered = 123_456_789
  results.scenarios[1].columns[2] = { faults: results.scenarios[1].columns[2].faults, lacking: '</svg></section>'.repeat(20) }
  writeFileSync(join(folder, 'odd.json'), JSON.stringify(results))
  const ran = await compare('odd', '--from', join(folder, 'odd.json'))
  assert.equal(ran.status, 1, ran.words)
  await look(t, 'odd', results)
})

// look opens a report in every way that people do, and holds it against its results.
async function look(t, name, results) {
  const chromium = startChromium(t, INTEROP_CHROMIUM, ['--hide-scrollbars'], { pipe: true })
  try {
    const send = await openPage(chromium, within, pathToFileURL(join(folder, name, 'report.html')).href)
    const pictures = {}
    for (const width of [400, 1200]) {
      for (const scheme of ['light', 'dark']) {
        await send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false })
        await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
        const where = `${name}, ${width} pixels, ${scheme}`
        const page = await evaluate(send, measure)
        judge(page, results, width, where)
        pictures[`${width} ${scheme}`] = { luminance: page.background, image: await picture(send) }
        await seeBars(send, page, where)
      }
    }
    for (const width of [400, 1200]) {
      const light = pictures[`${width} light`]
      const dark = pictures[`${width} dark`]
      assert.ok(light.luminance > 200 && dark.luminance < 60, `${width}: backgrounds ${light.luminance} and ${dark.luminance}`)
      assert.notEqual(light.image, dark.image)
    }
  } catch (error) {
    error.message += `\n${chromium.words()}`
    throw error
  }
}

async function evaluate(send, what) {
  const answer = await send('Runtime.evaluate', { expression: `(${what})()`, returnByValue: true })
  if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails))
  return answer.result.value
}

// measure runs in the page.
function measure() {
  const box = (element) => {
    const { left, top, right, bottom, width, height } = element.getBoundingClientRect()
    return { left: left + scrollX, top: top + scrollY, right: right + scrollX, bottom: bottom + scrollY, width, height }
  }
  const luminance = (color) => color.match(/[\d.]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c) / 3, 0)
  const series = (group) => ({
    peer: group.dataset.peer,
    bars: [...group.querySelectorAll('rect.bar')].map(box),
    whiskers: group.querySelectorAll('path.whisker').length,
    trouble: group.querySelector('.trouble')?.textContent ?? '',
    value: group.querySelector('.value').textContent,
    texts: [...group.querySelectorAll('text')].filter((e) => e.textContent).map((e) => ({ ...box(e), text: e.textContent, ink: luminance(getComputedStyle(e).fill) })),
  })
  return {
    title: document.title,
    scripts: document.scripts.length,
    strangers: document.querySelectorAll('img, iframe, link, object, main style').length,
    loaded: performance.getEntriesByType('resource').map((e) => e.name),
    overflow: document.scrollingElement.scrollWidth,
    wide: [...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll table, pre, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
      .map((e) => e.outerHTML.slice(0, 80)),
    background: luminance(getComputedStyle(document.body).backgroundColor),
    card: luminance(getComputedStyle(document.querySelector('section.scenario')).backgroundColor),
    absent: [...document.querySelectorAll('.absent')].map((e) => e.textContent),
    lines: document.querySelectorAll('table.all tr').length,
    settings: [...document.querySelectorAll('summary')].map((e) => e.textContent),
    scenarios: [...document.querySelectorAll('section.scenario')].map((s) => ({
      name: s.querySelector('h3').textContent,
      charts: [...s.querySelectorAll('svg.chart')].map((svg) => ({ ...box(svg), series: [...svg.querySelectorAll('g.series')].map(series) })),
    })),
  }
}

const figures = ['rate', 'cpu_us', 'rss_bytes']
const median = (runs, figure) => {
  const values = (runs ?? []).map((r) => r[figure]).sort((a, b) => a - b)
  const half = values.length >> 1
  return values.length === 0 ? 0 : values.length % 2 ? values[half] : (values[half - 1] + values[half]) / 2
}

// judge holds what the page shows against the results.
function judge(page, results, width, where) {
  const names = results.peers.map((p) => p.name)
  assert.equal(page.scripts + page.strangers, 0, where)
  assert.deepEqual(page.loaded, [], where)
  assert.ok(page.title.startsWith('gannet beside '), where)
  assert.ok(page.overflow <= width, `${where}: the page is ${page.overflow} wide`)
  assert.deepEqual(page.wide, [], where)
  assert.equal(page.absent.length, results.absent.length, where)
  assert.equal(page.lines, 1 + names.length * results.scenarios.length, where)
  assert.deepEqual(page.settings, names, where)
  assert.deepEqual(page.scenarios.map((s) => s.name), results.scenarios.map((s) => s.name), where)
  page.scenarios.forEach((shown, i) => {
    const { columns } = results.scenarios[i]
    const expected = figures.filter((f) => columns.some((c) => median(c.runs, f) !== 0))
    assert.equal(shown.charts.length, expected.length, `${where}: ${shown.name}`)
    shown.charts.forEach((chart, k) => judgeChart(chart, columns, expected[k], names, page, `${where}: ${shown.name}, ${expected[k]}`))
  })
}

function judgeChart(chart, columns, figure, names, page, where) {
  assert.deepEqual(chart.series.map((s) => s.peer), names, where)
  const most = Math.max(...columns.flatMap((c) => (c.runs ?? []).map((r) => r[figure])))
  chart.series.forEach((series, k) => {
    const { runs, faults, lacking } = columns[k]
    const value = median(runs, figure)
    const at = `${where}, ${names[k].slice(0, 30)}`
    const share = value / most
    assert.equal(series.bars.length, share * 360 >= 0.05 ? 1 : 0, at)
    for (const bar of series.bars) assert.ok(Math.abs(bar.width / chart.width - share) < 0.01, `${at}: a bar of ${bar.width}`)
    const spoilt = !runs || lacking || Object.values(faults).some((n) => n > 0)
    assert.equal(series.trouble !== '', Boolean(spoilt), `${at}: ${series.trouble}`)
    assert.equal(series.value !== '', Boolean(runs), at)
    for (const part of [...series.texts, ...series.bars]) {
      const inside = part.left > chart.left - 1 && part.right < chart.right + 1 && part.top > chart.top - 1 && part.bottom < chart.bottom + 1
      assert.ok(inside, `${at}: ${part.text ?? 'a bar'} is not in its chart`)
    }
    for (const text of series.texts) {
      assert.ok(text.height >= 12, `${at}: ${text.text} is ${text.height} high`)
      assert.ok(Math.abs(text.ink - page.card) > 60, `${at}: ${text.text} is hardly visible`)
    }
  })
  const texts = chart.series.flatMap((s) => s.texts)
  texts.forEach((a, i) => texts.slice(i + 1).forEach((b) => {
    const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top + 3 || b.bottom <= a.top + 3
    assert.ok(apart, `${where}: "${a.text}" lies on "${b.text}"`)
  }))
}

async function picture(send, clip) {
  const { data } = await send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true, clip: clip && { ...clip, scale: 1 } })
  const png = Buffer.from(data, 'base64')
  assert.equal(png.subarray(1, 4).toString(), 'PNG')
  return data
}

// seeBars takes pictures of the first bar of each chart and of the card beside it.
async function seeBars(send, page, where) {
  for (const scenario of page.scenarios) {
    for (const chart of scenario.charts) {
      const bar = chart.series[0].bars[0]
      const size = { width: 1, height: 3 }
      const inked = await picture(send, { x: Math.ceil(bar.left), y: Math.round(bar.top) + 3, ...size })
      const empty = await picture(send, { x: Math.floor(chart.left) - 4, y: Math.round(bar.top) + 3, ...size })
      assert.notEqual(inked, empty, `${where}: ${scenario.name}: nothing is painted`)
    }
  }
}
