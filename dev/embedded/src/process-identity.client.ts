import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const readIfThere = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // no /proc here, or the process is gone: both mean "nothing to read"
  }
}

/**
 * What tells a process from every other that has had or will have the same id: the boot of the machine and the moment
 * it started (field 22 of /proc/<pid>/stat, proc(5)); on systems without /proc the start time `ps` prints.
 *
 * @returns undefined when there is no such process, or it is a zombie
 */
export const processIdentity = (pid: number): string | undefined => {
  if (process.platform === 'linux') {
    const stat = readIfThere(`/proc/${pid}/stat`)
    if (stat === undefined) return undefined
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined
    return `${readIfThere('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}:${fields[19]}`
  }
  try {
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return started === '' ? undefined : started
  } catch {
    return undefined // ps ends with 1 when there is no such process
  }
}
