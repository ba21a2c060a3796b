/**
 * How long a text in a template may be, in characters.
 *
 * @see https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates/components
 */
export const HEADER_MAX = 60
export const BODY_MAX = 1_024
/** Where nothing but the body is filled in. */
export const LONE_BODY_MAX = 32_768
export const COUPON_CODE_MAX = 20
