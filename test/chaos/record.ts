import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

const ROOT = new URL('../../', import.meta.url);

/**
 * Keeps a result in a file, under its name and beside the others there, with the day, the machine and the state of the
 * code: what was claimed can be looked up, and measured again.
 */
export function writeRecord(path: string, name: string, result: object): void {
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>) : {};
  const entry = { date: new Date().toISOString().slice(0, 10), machine: machineInWords(), commit: commit(), ...result };
  writeFileSync(path, `${JSON.stringify({ ...before, [name]: entry }, null, 2)}\n`);
}

/** What matters of it, and nothing that names it. */
function machineInWords(): string {
  const cards = existsSync('/dev/nvidia0') ? 'an NVIDIA card' : 'no GPU';
  return `${cpus().length} cores, ${cards}`;
}

function commit(): string {
  const git = (...words: readonly string[]) =>
    execFileSync('git', ['-c', 'safe.directory=*', ...words], { cwd: ROOT, encoding: 'utf8' }).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '-uno') === '' ? '' : ', changed'}`;
}
