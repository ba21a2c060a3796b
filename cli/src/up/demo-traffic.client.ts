import { randomUUID } from 'node:crypto'
import { subjects } from '@cloudapi2/contracts'
import type { Publisher } from '@cloudapi2/nats'
import { request } from 'undici'
import { DEMO } from './demo.ts'

/** About one message in and one out every few seconds: enough to see life, little enough to read along. */
const INTERVAL_MS = 4_000

const GREETINGS = ['Hola, ¿está abierto hoy?', 'Do you deliver on Saturdays?', '¡Gracias! 😀', 'Is my order ready?']
const ANSWERS = ['Abrimos hasta las ocho.', 'We do, until noon.', 'A ti.', 'It is: come any time.']

/**
 * Simulated conversations of the demo company, until stopped. Commands go over NATS, so that they use up none of the
 * calls that the rate limit leaves to whoever tries the HTTP routes.
 */
export const startDemoTraffic = ({
  simulatorUrl,
  publisher,
  onError,
}: {
  simulatorUrl: string
  publisher: Publisher
  onError: (error: unknown) => void
}) => {
  let turn = 0
  const step = async () => {
    const n = turn++
    const phone = `34608684${400 + (n % 40)}`
    const inbound = await request(`${simulatorUrl}/simulate/inbound`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ company_id: DEMO.companyId, from: phone, text: GREETINGS[n % GREETINGS.length] }),
      headersTimeout: 5_000,
    })
    await inbound.body.dump()
    const id = `demo-${randomUUID()}`
    await publisher.publish({
      subject: subjects.sendCommand(DEMO.companyId, 'whatsapp'),
      msgId: id,
      data: JSON.stringify({
        id,
        company_id: DEMO.companyId,
        channel: 'whatsapp',
        phone_number_id: DEMO.phoneNumberId,
        to: phone,
        message: { type: 'text', text: ANSWERS[n % ANSWERS.length] },
        requested_at: new Date().toISOString(),
        requested_by: 'demo',
      }),
    })
  }
  const timer = setInterval(() => void step().catch(onError), INTERVAL_MS)
  return { description: `a message in and one out every ${INTERVAL_MS / 1000} s`, stop: () => clearInterval(timer) }
}
