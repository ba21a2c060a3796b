// The memory of every process at a steady rate of webhooks.   node bench/memory.mjs [rate per second] [minutes]
// Prints the resident memory of each, once a minute, and how much the second half of the run grew.
import { readFileSync } from 'node:fs'
import { startProduct } from './product.mjs'
import { runProgram } from './session.mjs'

const [rate = 500, minutes = 10] = process.argv.slice(2).map(Number)
const product = await startProduct()
const { urls, demo, pids } = product.runtime

const residentMb = (pid) => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
}
const names = Object.keys(pids)
const samples = []
const load = runProgram('bench/load.mjs', [
  `${urls.webhook_gateway}/${demo.company_id}/webhook`,
  demo.app_secret,
  minutes * 60,
  32,
  'mem',
  rate,
])
console.log(['minute', ...names].join('\t'))
const startedAt = Date.now()
const timer = setInterval(() => {
  const sample = names.map((name) => residentMb(pids[name]))
  samples.push(sample)
  if (samples.length % 6 === 0) console.log([Math.round((Date.now() - startedAt) / 60_000), ...sample].join('\t'))
}, 10_000)
const result = await load
clearInterval(timer)
const mean = (rows, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length
const quarter = Math.floor(samples.length / 4)
console.log(`\n${result.requests} webhooks, ${result.perSecond}/s, ${result.non200 + result.errors} not answered 200`)
for (const [i, name] of names.entries()) {
  const third = mean(samples.slice(quarter * 2, quarter * 3), i)
  const fourth = mean(samples.slice(quarter * 3), i)
  console.log(
    `${name.padEnd(18)} third quarter ${third.toFixed(0).padStart(5)} MB   last quarter ${fourth.toFixed(0).padStart(5)} MB   ratio ${(fourth / third).toFixed(2)}`,
  )
}
await product.stop()
