import { describe, expect, it } from 'vitest';
import { runBriefly } from '../../src/process/run-briefly.ts';

const LIMIT = { limit: 30_000 };

describe('a program that is run briefly', () => {
  it('went well when it ended with 0, and what it says on the side is no failure', async () => {
    const ran = await runBriefly('sh', ['-c', 'echo " $GREETING "; echo aside >&2'], {
      ...LIMIT,
      env: { GREETING: 'hello' },
    });
    expect(ran).toEqual({ ok: true, output: 'hello', complaint: 'aside' });
  });

  it('that fails is complained of in its own last words, or in the number that it ended with', async () => {
    const ran = await runBriefly('sh', ['-c', 'echo first >&2; echo last >&2; exit 3'], LIMIT);
    expect(ran).toMatchObject({ ok: false, complaint: 'last' });
    expect(await runBriefly('sh', ['-c', 'exit 3'], LIMIT)).toMatchObject({
      ok: false,
      complaint: expect.stringContaining('3'),
    });
  });

  it('that is not there, or does not end, is told apart', async () => {
    const absent = await runBriefly('/no/program', [], LIMIT);
    expect(absent).toEqual({ ok: false, output: '', complaint: 'there is no program /no/program' });
    const hung = await runBriefly('sleep', ['60'], { limit: 100 });
    expect(hung).toEqual({ ok: false, output: '', complaint: 'it did not end within 0.1 s' });
  });
});
