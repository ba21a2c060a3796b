import { defineConfig } from 'vitest/config'

export default defineConfig({
  // The libs' sources, not their dist: a test sees what is on the page. Without `module`: what packages offer under it is
  // for bundlers, and Node cannot load some of it.
  ssr: { resolve: { conditions: ['source', 'node', 'development|production'] } },
  resolve: { conditions: ['source', 'node', 'development|production'] },
  test: {
    include: ['{libs,dev,services,cli}/**/src/**/*.test.ts', 'tests/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Far more than any test takes on an idle machine: tests wait for facts, and a busy machine is no failure.
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
})
