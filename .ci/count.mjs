// Prints `N passed, N failed` from Vitest's report; the static checks count as one test more. Exits with 1 if any failed.
import { readFileSync } from 'node:fs'

const [report, checks, exitCode] = process.argv.slice(2)
let passed = 0
let failed = 0
try {
  const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(report, 'utf8'))
  passed = numPassedTests
  failed = numFailedTests
  // A file that could not be loaded has no failed test, but it has failed.
  if (failed === 0 && (numFailedTestSuites > 0 || exitCode !== '0')) failed = 1
} catch (error) {
  console.error(`no test report: ${error.message}`)
  failed = 1
}
if (checks === '0') passed += 1
else failed += 1
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 1 ? 0 : 1
