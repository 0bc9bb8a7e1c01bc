import { afterEach, expect, it } from 'vitest';
import { Kiln } from '../support/kiln.ts';

let kiln: Kiln;
afterEach(() => kiln.close());

it('what did not fit last night is shown, and forgotten when its user says so', async () => {
  kiln = new Kiln({ KW_FAKE: JSON.stringify({ memory_batch: 1 }) });
  const run = await kiln.run(['run', kiln.write('a.txt', 'a fox\na hen'), '--steps', '2']);
  expect(run.code, run.stderr).toBe(0);
  const ls = await kiln.run(['limits', 'ls']);
  expect(ls.stdout).toMatch(/^cpu {2}[0-9a-f]{12} {2}\d+x\d+\S* {2}cpu {2}batches of 1 at most {2}until \S.*\n$/);
  expect(JSON.parse((await kiln.run(['limits', 'ls', '--device', 'cpu', '--json'])).stdout)).toMatchObject({
    device: 'cpu',
    engine: expect.stringMatching(/^[0-9a-f]{12}$/),
    limit: 1,
    believed_until: expect.stringMatching(/^\d{4}-/),
  });
  const other = await kiln.run(['limits', 'forget', '--device', 'cuda:0']);
  expect([other.code, other.stderr]).toEqual([
    2,
    'kilnwatt: --device: nothing was learned of cuda:0; there is something of cpu\n',
  ]);
  expect((await kiln.run(['limits', 'forget', '--device', 'cpu'])).stdout).toBe(
    '1 limit and 1 measurement forgotten\n',
  );
  expect((await kiln.run(['limits', 'ls'])).stdout).toBe('');
}, 30_000);
