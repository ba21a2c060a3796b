/** The company of the demo: the first one this system ever served, with the ids of its first documentation. */
export const DEMO = {
  companyId: 'a9242a58-4f5d-494c-8a74-45f8cee150e6',
  name: 'Solvify',
  phoneNumberId: '674372385752523',
  displayPhoneNumber: '34910000000',
  wabaId: '819743285752511',
  cover: 'https://media.example.com/solvify/cover.png',
} as const

/** Settings of the demo company, as tenant-config takes them. */
export const demoProperties = (secrets: { access_token: string; app_secret: string; verify_token: string }) => ({
  WHATSAPP_ACCESS_TOKEN: secrets.access_token,
  WHATSAPP_APP_SECRET: secrets.app_secret,
  WHATSAPP_VERIFY_TOKEN: secrets.verify_token,
  WHATSAPP_PHONE_NUMBER_ID: DEMO.phoneNumberId,
  WHATSAPP_BUSINESS_ID: DEMO.wabaId,
  WHATSAPP_COVER: DEMO.cover,
  WHATSAPP_PHONE_NUMBERS: [{ id: DEMO.phoneNumberId, display_phone_number: DEMO.displayPhoneNumber }],
  DEFAULT_COUNTRY: 'ES',
  RESPONSIBLE_EMAIL: 'hello@solvify.example',
})

const template = (
  name: string,
  language: string,
  format: 'NAMED' | 'POSITIONAL',
  components: Record<string, unknown>[],
) => ({
  name,
  language,
  parameter_format: format,
  components: components.map((component) => ({ ...component, type: String(component.type) })),
})

/** The templates that every company has at the simulator. */
export const SIMULATED_TEMPLATES = [
  template('hello_world', 'en_US', 'POSITIONAL', [
    { type: 'BODY', text: 'Welcome and congratulations! This message shows that you can send messages.' },
  ]),
  template('agendar_llamada_inicial', 'es_ES', 'NAMED', [
    { type: 'HEADER', format: 'IMAGE' },
    { type: 'BODY', text: 'Hola {{first_name}}, agenda tu llamada inicial. Referencia: {{deal_id}}.' },
  ]),
  template('order_ready', 'en_US', 'POSITIONAL', [
    { type: 'BODY', text: 'Hello {{1}}, your order {{2}} is ready to be collected.' },
  ]),
]
