/** The first segment of every path of the Graph API: `v22.0`, `v9.1` … The version changes only what webhooks carry. */
export const GRAPH_VERSION_PATH = ':version(^v[1-9]\\d*\\.\\d+$)'
